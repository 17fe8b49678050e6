import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';
import { cacheFailure } from './cache-failure.ts';
import { tryLock } from './provision-lock.ts';

/** What became of a folder that an older version of this package has made. */
export interface OldVersion {
  /** `'guest-3'`. */
  readonly name: string;
  /** Processes that use it, for which it was kept; undefined: it is gone. */
  readonly usedBy: readonly number[] | undefined;
}

/**
 * Removes folders of the cache that other folders have followed: those of the same name with a smaller number, once the
 * folder of today is whole. One stays that is not of provisionFolder's making, that is being made, or that a process has
 * a file of; a process of an older version that only knows of it has to provision it again.
 *
 * @param current names of the folders of today: `'guest-4'`
 * @throws ProvisionError when the cache cannot be written
 */
export function removeOldVersions(
  cache: string,
  current: readonly string[],
): readonly OldVersion[] {
  try {
    return current.flatMap((name) =>
      olderThan(cache, name).flatMap((old) => removeUnused(cache, old)),
    );
  } catch (error) {
    throw cacheFailure(cache, error);
  }
}

/** A folder, or what provisionFolder or this has left of one in the middle of its work. */
const NAME = /^(.+)-(\d+)(?:\.old|\.draft)?$/;

function olderThan(cache: string, name: string): readonly string[] {
  const [, kind, number] = NAME.exec(name) ?? [];
  if (kind === undefined || !existsSync(join(cache, name, 'version'))) return [];
  const found = readdirSync(cache).flatMap((entry) => {
    const [, otherKind, otherNumber] = NAME.exec(entry) ?? [];
    const isOlder = otherKind === kind && Number(otherNumber) < Number(number);
    return isOlder ? [`${kind}-${otherNumber}`] : [];
  });
  // Who provisions a folder makes its lock before.
  return [...new Set(found)].filter((old) => stat(cache, 'locks', old)?.isDirectory());
}

function stat(...path: readonly string[]): Stats | undefined {
  return lstatSync(join(...path), { throwIfNoEntry: false });
}

function removeUnused(cache: string, name: string): readonly OldVersion[] {
  using lock = tryLock(join(cache, 'locks', name));
  if (lock === undefined) return [{ name, usedBy: [] }];
  for (const rest of ['old', 'draft']) {
    rmSync(join(cache, `${name}.${rest}`), { recursive: true, force: true });
  }
  const folder = join(cache, name);
  if (!stat(folder)?.isDirectory() || !stat(folder, 'version')?.isFile()) return [];
  const usedBy = usersOf(folder);
  if (usedBy.length > 0) return [{ name, usedBy }];
  // At once, so that nobody finds the half of it.
  renameSync(folder, `${folder}.old`);
  rmSync(`${folder}.old`, { recursive: true, force: true });
  return [{ name, usedBy: undefined }];
}

/** Processes that run, have open, have mapped or were told a file of the folder, as far as this one may look (proc(5)). */
function usersOf(folder: string): readonly number[] {
  const within = `${folder}/`;
  return readdirSync('/proc')
    .filter((id) => /^\d+$/.test(id) && Number(id) !== process.pid)
    .filter((id) => {
      const at = `/proc/${id}`;
      const links = [`${at}/exe`, `${at}/cwd`, ...descriptors(at)];
      return (
        links.some((link) => `${attempt(() => readlinkSync(link))}/`.startsWith(within)) ||
        ['maps', 'cmdline'].some((file) =>
          attempt(() => readFileSync(`${at}/${file}`, 'utf8')).includes(within),
        )
      );
    })
    .map(Number);
}

function descriptors(at: string): readonly string[] {
  try {
    return readdirSync(`${at}/fd`).map((fd) => `${at}/fd/${fd}`);
  } catch {
    return [];
  }
}

/** Nothing where the process has ended, or is another user's. */
function attempt(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
