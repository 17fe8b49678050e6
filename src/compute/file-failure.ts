import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { HcsError } from '../hcs/hcs-error.ts';
import type { HresultName } from '../hcs/hresult.ts';
import { failure, failureFrom } from './failure.ts';

/** What Windows says where a POSIX system says this. */
const CODES: Readonly<Record<string, readonly [code: HresultName, reason: string]>> = {
  EACCES: ['E_ACCESSDENIED', 'this process may not: see to the rights of the file and its folders'],
  EPERM: ['E_ACCESSDENIED', 'only the owner of the file, or root, may'],
  EEXIST: ['ERROR_FILE_EXISTS', 'it exists already: remove it, or use another path'],
  ENOTDIR: ['ERROR_PATH_NOT_FOUND', 'a part of the path is no folder'],
  ELOOP: ['ERROR_PATH_NOT_FOUND', 'its symbolic links go round in a circle'],
  ENAMETOOLONG: ['ERROR_FILENAME_EXCED_RANGE', 'it is too long: use a shorter path'],
  ENOSPC: ['ERROR_DISK_FULL', 'the disk is full: make room'],
  EDQUOT: ['ERROR_DISK_FULL', 'the disk quota is used up: make room'],
  EROFS: ['ERROR_WRITE_PROTECT', 'its file system is read-only'],
  EISDIR: ['ERROR_INVALID_DATA', 'it is a folder, not a file'],
  ENOTSUP: ['ERROR_NOT_SUPPORTED', 'its file system has no such rights'],
  EOPNOTSUPP: ['ERROR_NOT_SUPPORTED', 'its file system has no such rights'],
};

/** Characters of a file's name, on Windows and on Linux (there bytes). */
const LONGEST_NAME = 255;

/**
 * The failure of the function `name` for what the system said of a path. An HcsError stays what it is.
 * @param at JSON path by which the options of the call name it
 */
export function fileFailure(name: string, path: string, error: unknown, at?: string): HcsError {
  if (error instanceof HcsError) return failureFrom(name, error);
  const { code: said = '' } = (error ?? {}) as { readonly code?: string };
  // Windows says of such a name that there is no such file.
  const code = said === 'ENOENT' && basename(path).length > LONGEST_NAME ? 'ENAMETOOLONG' : said;
  const subject = `${at === undefined ? '' : `${at} `}"${shorten(path)}"`;
  if (code === 'ENOENT') {
    const folder = dirname(path);
    // Windows says the same where the folder is a file.
    return isFolder(folder)
      ? failure(name, 'ERROR_FILE_NOT_FOUND', `${subject} does not exist`, undefined, error)
      : failure(
          name,
          'ERROR_PATH_NOT_FOUND',
          `${subject} is in a folder that does not exist: make ${shorten(folder)} first`,
          undefined,
          error,
        );
  }
  const known = Object.hasOwn(CODES, code) ? CODES[code] : undefined;
  if (known === undefined) return failureFrom(name, error);
  return failure(name, known[0], `${subject} cannot be used: ${known[1]}`, undefined, error);
}

/** Whatever the system says of the path: this is for the words of an error. */
function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** A text that fits a message. */
export function shorten(text: string, length = 200): string {
  return text.length <= length ? text : `${text.slice(0, length)}... (${text.length} characters)`;
}
