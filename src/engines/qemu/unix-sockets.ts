import { existsSync, readFileSync } from 'node:fs';
import { resourceFailure } from './resources/resource-failure.ts';

/** Longest path of a unix socket, in bytes (unix(7)). */
const LONGEST_PATH = 107;

/**
 * Checks the path of a socket that a pipe of the document means.
 * @param at where the document has it
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
}

/**
 * Whether somebody listens on a socket, so that QEMU connects there; otherwise QEMU makes it.
 * @throws HcsError ERROR_FILE_EXISTS when the path is taken by a file of another kind or a socket that nobody listens on
 */
export function hasListener(path: string): boolean {
  if (!existsSync(path)) return false;
  if (isListening(path)) return true;
  throw resourceFailure(
    'ERROR_FILE_EXISTS',
    `Cannot make a socket of ${path}: the path exists and nobody listens there; remove it or use another`,
  );
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
