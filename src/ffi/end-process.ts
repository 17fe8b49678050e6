import { libc } from './libc.ts';
import { windowsSystem } from './windows-system.ts';

/**
 * Ends the whole process from any thread, at once: `process.exit` of a worker ends that worker only, and the main thread
 * may be where no JavaScript reaches it. Nothing is flushed, and no exit handler runs.
 * @param code exit code, 0 to 255
 */
export function endProcess(code: number): void {
  if (process.platform === 'win32') {
    const { GetCurrentProcess, TerminateProcess } = windowsSystem();
    TerminateProcess(GetCurrentProcess(), code);
  } else {
    libc()._exit(code);
  }
}
