import { join } from 'node:path';
import { takeLock } from '../../../src/provision/provision-lock.ts';

/** What {@link lockLane} keeps for this process. */
export interface LaneFolders {
  /** The cache with the Wine prefix, which has one set of system libraries. */
  readonly cache: string;
  /** Where the build for Windows lies. */
  readonly build: string;
}

/**
 * Keeps everyone else from the prefix and from the build until it is disposed of, or this process ends, even by kill -9.
 * @param print receives a line for each holder that has to be waited for, at once
 */
export async function lockLane(
  { cache, build }: LaneFolders,
  print: (line: string) => void,
): Promise<Disposable> {
  const take = async (folder: string, instead: string): Promise<Disposable> => {
    const lock = join(folder, 'locks', 'run');
    return takeLock(lock, {
      waiting: (pid) =>
        print(
          `Waiting for process ${pid}, which runs programs for Windows and holds ${lock}: it goes on when that one ends ("kill ${pid}" ends it). To run beside it, ${instead}`,
        ),
    });
  };
  // Always in this order, so that no two runs wait for each other.
  const prefix = await take(cache, 'set HDVKIT_CACHE to another folder, in another checkout');
  try {
    const built = await take(build, 'use another checkout');
    return {
      [Symbol.dispose]: () => {
        built[Symbol.dispose]();
        prefix[Symbol.dispose]();
      },
    };
  } catch (error) {
    prefix[Symbol.dispose]();
    throw error;
  }
}
