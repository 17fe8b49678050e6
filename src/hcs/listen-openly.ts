import type { Server } from 'node:net';
import { isMainThread } from 'node:worker_threads';

/**
 * Listens on a unix socket that everybody may connect to who may search its folder, and resolves when it does. The rights
 * are those with which the socket is made: one changed later might be another file's by then.
 */
export function listenOpenly(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const listening = (): void => {
      server.off('error', reject);
      resolve();
    };
    if (!isMainThread) {
      // Only the main thread can say with which rights files are made.
      server.listen({ path, readableAll: true, writableAll: true }, listening);
      return;
    }
    const mask = process.umask(0);
    try {
      server.listen(path, listening);
    } finally {
      process.umask(mask);
    }
  });
}
