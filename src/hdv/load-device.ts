import { fileURLToPath } from 'node:url';
import { isPciDeviceClass, type PciDevice } from '../device/pci-device.ts';

/** A module cannot be used as a device: the message says why and what to do. */
export class DeviceLoadError extends Error {
  override readonly name = 'DeviceLoadError';
}

/**
 * Loads a module and constructs the device class that it exports.
 * @param exportName undefined: the default export, or else the only device class that the module exports
 * @throws DeviceLoadError when the module does not load, has no such class, or its constructor throws
 */
export async function loadDevice(module: URL, exportName?: string): Promise<PciDevice> {
  const file = nameOf(module);
  let exports: Readonly<Record<string, unknown>>;
  try {
    exports = (await import(module.href)) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    throw new DeviceLoadError(`Cannot load ${file}: ${messageOf(cause)}`, { cause });
  }
  const { name, value } = choose(file, exports, exportName);
  try {
    return new value();
  } catch (cause) {
    throw new DeviceLoadError(
      `Cannot construct ${name} of ${file}: its constructor threw ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** The path, as the system writes it; the URL where it is no path of this system. */
function nameOf(module: URL): string {
  try {
    return fileURLToPath(module);
  } catch {
    return module.href;
  }
}

function choose(
  file: string,
  exports: Readonly<Record<string, unknown>>,
  wanted: string | undefined,
): { readonly name: string; readonly value: new () => PciDevice } {
  const classes = Object.keys(exports).filter((name) => isPciDeviceClass(exports[name]));
  const offer =
    classes.length > 0
      ? `it exports the device ${classes.length > 1 ? 'classes' : 'class'} ${classes.join(', ')}`
      : 'it exports no device class; export one: export class MyDevice extends PciDevice { … }';
  const name =
    wanted ?? (classes.includes('default') || classes.length !== 1 ? 'default' : classes[0]);
  const value = name === undefined ? undefined : exports[name];
  if (isPciDeviceClass(value)) return { name: name as string, value };
  if (wanted === undefined) {
    const choice = classes.length > 1 ? '; say which one with the option export' : '';
    throw new DeviceLoadError(`Cannot find a device in ${file}: ${offer}${choice}`);
  }
  if (!(wanted in exports)) {
    throw new DeviceLoadError(`Cannot find the export ${wanted} in ${file}: ${offer}`);
  }
  throw new DeviceLoadError(
    `Cannot use ${wanted} of ${file} as a device: it is not a class that extends PciDevice; ${offer}`,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
