import { accessSync, constants, lstatSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { requireFolderOf } from './required-file.ts';
import { resourceFailure } from './resources/resource-failure.ts';

/** Longest path of a unix socket, in bytes (unix(7)). */
const LONGEST_PATH = 107;

/**
 * Checks the path of a socket that a pipe of the document means.
 * @param at where the document has it
 * @throws HcsError E_INVALIDARG for a path that no socket can have, ERROR_PATH_NOT_FOUND
 */
export function requireSocketPath(at: string, path: string): void {
  if (!path.startsWith('/')) {
    throw resourceFailure(
      'E_INVALIDARG',
      `${at} is "${path}": on this host it is the absolute path of a unix socket`,
    );
  }
  const bytes = Buffer.byteLength(path);
  if (bytes > LONGEST_PATH) {
    throw resourceFailure(
      'E_INVALIDARG',
      `${at} has ${bytes} bytes: a socket's path has at most ${LONGEST_PATH}; use a shorter folder`,
    );
  }
  requireFolderOf(at, path);
}

/**
 * Whether somebody listens on a socket, so that QEMU connects there; otherwise QEMU makes it.
 * @param at where the document has it
 * @throws HcsError ERROR_FILE_EXISTS when the path is taken by a file of another kind or a socket that nobody listens on,
 * E_ACCESSDENIED where no socket can be made
 */
export function hasListener(at: string, path: string): boolean {
  if (!isThere(path)) {
    requireRights(at, path, dirname(path), constants.W_OK | constants.X_OK);
    return false;
  }
  if (isListening(path)) {
    requireRights(at, path, path, constants.W_OK);
    return true;
  }
  throw resourceFailure(
    'ERROR_FILE_EXISTS',
    `${at} is "${path}", and no socket can be made there: the path exists and nobody listens on it; remove it or use another`,
  );
}

/** A link to nothing is in the way as well; what may not be looked at is told by the rights of the folder. */
function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

function requireRights(at: string, path: string, file: string, mode: number): void {
  try {
    accessSync(file, mode);
  } catch (error) {
    throw resourceFailure(
      'E_ACCESSDENIED',
      `${at} is "${path}": this service may not ${file === path ? 'connect to it' : `make a socket in ${file}`}; see to the rights there, or use another path`,
      error,
    );
  }
}

/** The kernel's table of sockets tells without a connection: __SO_ACCEPTCON is 0x10000 (linux/net.h). */
export function isListening(path: string): boolean {
  return readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .some((line) => {
      const [, , , flags = ''] = line.split(' ');
      return line.endsWith(` ${path}`) && (Number.parseInt(flags, 16) & 0x10000) !== 0;
    });
}
