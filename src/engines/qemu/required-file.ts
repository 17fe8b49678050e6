import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { resourceFailure } from './resources/resource-failure.ts';

/**
 * The service is in a folder of its own, which is nothing to who wrote the document.
 * @param at where the document names the file
 * @throws HcsError E_INVALIDARG
 */
export function requireAbsolute(at: string, path: string): void {
  if (path.startsWith('/')) return;
  throw resourceFailure('E_INVALIDARG', `${at} is "${path}": use an absolute path`);
}

/**
 * Looks for the folder in which a file or a socket is to be made.
 * @throws HcsError E_INVALIDARG for a path that is not absolute, ERROR_PATH_NOT_FOUND, E_ACCESSDENIED
 */
export function requireFolderOf(at: string, path: string): void {
  requireAbsolute(at, path);
  const folder = dirname(path);
  if (isFolder(at, path, folder)) return;
  throw resourceFailure(
    'ERROR_PATH_NOT_FOUND',
    `${at} is "${path}": make the folder ${folder} first`,
  );
}

function isFolder(at: string, path: string, folder: string): boolean {
  try {
    return statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch (error) {
    throw resourceFailure(
      'E_ACCESSDENIED',
      `${at} is "${path}": this service may not look at the folder ${folder}; see to the rights of the folders above it`,
      error,
    );
  }
}

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
 * @throws HcsError as {@link requireAbsolute} and {@link requirePath}, and ERROR_INVALID_DATA for what is no regular file
 */
export function requireFile(path: string, file: string): void {
  requireAbsolute(path, file);
  requirePath(path, file);
  if (statSync(file).isFile()) return;
  throw resourceFailure('ERROR_INVALID_DATA', `${path} is "${file}", which is no regular file`);
}
