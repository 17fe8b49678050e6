import { statSync, watch } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';

/** Editors write a file in several steps; what follows within this time is one change. */
const SETTLE_MS = 100;

/**
 * Calls `changed` when a file has been saved, also by an editor that puts a new file in its place.
 * @returns a function that ends the watch
 */
export function watchFile(path: string, changed: () => unknown): () => void {
  const file = resolve(path);
  let seen = stamp(file);
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    const now = stamp(file);
    if (now === undefined || now === seen) return;
    seen = now;
    changed();
  };
  const watcher = watch(dirname(file), (_event, name) => {
    if (name !== null && name !== basename(file)) return;
    clearTimeout(timer);
    timer = setTimeout(look, SETTLE_MS);
  });
  return () => {
    clearTimeout(timer);
    watcher.close();
  };
}

/** Changes when the file's contents may have. */
function stamp(file: string): string | undefined {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
}
