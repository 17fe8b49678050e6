import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A path that no other test listens on: of a socket, or of a pipe on Windows. Both go when their server closes. */
export function socketPath(): string {
  const name = `hdvkit-${randomUUID().slice(0, 8)}`;
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), name);
}
