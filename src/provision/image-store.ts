import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { cacheFailure } from './cache-failure.ts';

let drafts = 0;
const UNUSED_AFTER_MS = 7 * 24 * 3600 * 1000;

/**
 * The file of the cache for this content; made, as a whole, when it is not there. Files that nobody asked for in a week
 * are removed.
 *
 * @param parts what decides about the content
 */
export async function storeImage(
  cache: string,
  parts: readonly (string | Uint8Array)[],
  make: () => Buffer | Promise<Buffer>,
): Promise<string> {
  const folder = join(cache, 'initramfs');
  const file = join(folder, `${hash(parts)}.img`);
  if (existsSync(file)) {
    touch(file);
    return file;
  }
  const image = await make();
  const draft = `${file}.${process.pid}-${++drafts}`;
  try {
    mkdirSync(folder, { recursive: true });
    removeUnused(folder);
    try {
      writeFileSync(draft, image);
      renameSync(draft, file);
    } catch (error) {
      rmSync(draft, { force: true });
      throw error;
    }
  } catch (error) {
    throw cacheFailure(cache, error);
  }
  return file;
}

/** Where the cache is read-only, nothing is removed from it either. */
function touch(file: string): void {
  const now = new Date();
  try {
    utimesSync(file, now, now);
  } catch (error) {
    if (!['EROFS', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
  }
}

function hash(parts: readonly (string | Uint8Array)[]): string {
  const sum = createHash('sha256');
  for (const part of parts) sum.update(`${part.length}\n`).update(part);
  return sum.digest('hex').slice(0, 32);
}

function removeUnused(folder: string): void {
  const limit = Date.now() - UNUSED_AFTER_MS;
  for (const name of readdirSync(folder)) {
    const file = join(folder, name);
    const status = statSync(file, { throwIfNoEntry: false });
    if (status !== undefined && status.mtimeMs < limit) rmSync(file, { force: true });
  }
}
