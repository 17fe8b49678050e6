import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Milliseconds after its last use for which a build is kept: other states of the sources are tested at the same time. */
const KEPT = 3 * 24 * 3600 * 1000;

/**
 * A folder with what a compiler makes, built unless it is there already. Several processes may build at once; the first
 * one's folder stays. Whoever builds removes its neighbours that nobody has used for three days, drafts included.
 *
 * @param folder named after everything that its contents depend on
 * @param build fills a draft, which is then renamed
 */
export function keptBuild(folder: string, build: (draft: string) => void): void {
  if (use(folder)) return;
  const parent = dirname(folder);
  mkdirSync(parent, { recursive: true });
  const draft = mkdtempSync(`${folder}.draft-`);
  try {
    build(draft);
    renameSync(draft, folder);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!use(folder)) throw error;
  }
  removeUnused(parent, basename(folder));
}

/** Marks a build as used now. @returns whether it is there */
function use(folder: string): boolean {
  const now = new Date();
  try {
    utimesSync(folder, now, now);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function removeUnused(parent: string, own: string): void {
  for (const name of readdirSync(parent)) {
    const path = join(parent, name);
    const used = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (name !== own && used < Date.now() - KEPT) rmSync(path, { recursive: true, force: true });
  }
}
