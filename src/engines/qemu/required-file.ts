import { accessSync, constants, statSync } from 'node:fs';
import { resourceFailure } from './resources/resource-failure.ts';

/** @throws HcsError naming the path, where there is nothing, or nothing that can be read */
export function requirePath(path: string, file: string): void {
  try {
    accessSync(file, constants.R_OK);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw resourceFailure(
      missing ? 'ERROR_FILE_NOT_FOUND' : 'E_ACCESSDENIED',
      `${path} is "${file}": ${missing ? 'there is no such file' : 'it cannot be read'}`,
    );
  }
}

/**
 * QEMU would wait for ever for what a pipe brings, and read a device without end.
 * @throws HcsError as {@link requirePath}, and ERROR_INVALID_DATA for what is no regular file
 */
export function requireFile(path: string, file: string): void {
  requirePath(path, file);
  if (statSync(file).isFile()) return;
  throw resourceFailure('ERROR_INVALID_DATA', `${path} is "${file}", which is no regular file`);
}
