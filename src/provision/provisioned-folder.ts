import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { cacheFailure } from './cache-failure.ts';
import { takeLock } from './provision-lock.ts';
import type { ProvisionOptions } from './provision-options.ts';

/**
 * Makes a folder of the cache come into being as a whole: `build` fills a draft beside it, which is then renamed.
 * One process builds; others that want the same folder wait, and find it done. Drafts of dead processes are removed.
 *
 * @param build returns facts that become files of the folder (`version`)
 */
export async function provisionFolder(
  folder: string,
  options: ProvisionOptions,
  build: (draft: string) => Promise<Readonly<Record<string, string>>>,
): Promise<void> {
  if (existsSync(join(folder, 'version')) && options.force !== true) return;
  try {
    await makeFolder(folder, options, build);
  } catch (error) {
    throw cacheFailure(dirname(folder), error);
  }
}

async function makeFolder(
  folder: string,
  options: ProvisionOptions,
  build: (draft: string) => Promise<Readonly<Record<string, string>>>,
): Promise<void> {
  const name = basename(folder);
  const cache = dirname(folder);
  mkdirSync(cache, { recursive: true });
  using _lock = await takeLock(join(cache, 'locks', name), {
    signal: options.signal,
    waiting: (pid) =>
      options.progress?.({ step: `wait for process ${pid}, which is at it`, done: 0, total: 0 }),
  });
  if (existsSync(join(folder, 'version')) && options.force !== true) return;
  for (const entry of readdirSync(cache)) {
    if (entry.startsWith(`${name}.`)) rmSync(join(cache, entry), { recursive: true, force: true });
  }
  const draft = join(cache, `${name}.draft`);
  mkdirSync(draft);
  try {
    const facts = await build(draft);
    for (const [fact, value] of Object.entries(facts)) writeFileSync(join(draft, fact), value);
    const old = join(cache, `${name}.old`);
    if (existsSync(folder)) renameSync(folder, old);
    renameSync(draft, folder);
    rmSync(old, { recursive: true, force: true });
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}
