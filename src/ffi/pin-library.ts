import { koffi } from './native-config.ts';

/** GET_MODULE_HANDLE_EX_FLAG_PIN (libloaderapi.h). */
const PIN = 1;
/** dlopen(3): as koffi loads, and never to be unloaded. RTLD_NODELETE differs between systems. */
const RTLD_LAZY = 1;
const RTLD_NODELETE = process.platform === 'darwin' ? 0x80 : 0x1000;

/**
 * Keeps a library that is loaded in the process until that ends. koffi lets go of its libraries when Node winds up, and
 * threads of a library's own, which may still be inside, would run into nothing.
 */
export function pinLibrary(path: string): void {
  if (process.platform === 'win32') {
    const pin = koffi
      .load('kernel32.dll')
      .func('GetModuleHandleExW', 'int', ['uint32', 'str16', 'void *']);
    pin(PIN, path, Buffer.alloc(8));
    return;
  }
  const dlopen = koffi.load(null).func('dlopen', 'void *', ['str', 'int']);
  dlopen(path, RTLD_LAZY | RTLD_NODELETE);
}
