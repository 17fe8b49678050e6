import { join } from 'node:path';
import { defaultStateFolder } from '../compute/state-folder.ts';

/** Longest path of a Unix socket, in bytes. */
export const LONGEST_SOCKET_PATH = 107;

const NAME = 'hcsd.sock';

/**
 * Where the service of this user listens: `HDVKIT_SOCKET`; else for root `/run/hdvkit/hcsd.sock`; else in `hdvkit` of
 * `XDG_RUNTIME_DIR`; else in the state folder.
 */
export function defaultSocketPath(environment: NodeJS.ProcessEnv = process.env): string {
  const { HDVKIT_SOCKET, XDG_RUNTIME_DIR } = environment;
  if (HDVKIT_SOCKET !== undefined && HDVKIT_SOCKET !== '') return HDVKIT_SOCKET;
  if (process.getuid?.() === 0) return join('/run/hdvkit', NAME);
  if (XDG_RUNTIME_DIR !== undefined && XDG_RUNTIME_DIR !== '') {
    return join(XDG_RUNTIME_DIR, 'hdvkit', NAME);
  }
  return join(defaultStateFolder(environment), NAME);
}

/** @throws RangeError for a path that no socket can have */
export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes > 0 && bytes <= LONGEST_SOCKET_PATH && !path.includes('\0')) return;
  throw new RangeError(
    `Cannot use the socket ${path}: a path has 1 to ${LONGEST_SOCKET_PATH} bytes, this one has ${bytes}; set HDVKIT_SOCKET, or use --socket, to a shorter one`,
  );
}
