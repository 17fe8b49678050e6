import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { identifyProcess, isAlive, parseIdentity } from './process-identity.ts';

const POLL_MS = 100;
let attempts = 0;

/** A lock that is held. */
export interface ProvisionLock extends Disposable {
  /** Lets go; safe to call twice. */
  release(): void;
}

/**
 * Takes a lock that processes share through a directory, waiting for whoever has it. A holder that died, even by
 * kill -9, does not keep it.
 *
 * The directory holds files named by growing numbers, each with the identity of a process; the highest one counts.
 * It is never deleted, only followed by a higher one, so two processes that find a dead holder cannot both succeed it.
 *
 * @param waiting called once, with the process id of the holder, when it has to wait
 */
export async function takeLock(
  directory: string,
  options: {
    readonly signal?: AbortSignal | undefined;
    readonly waiting?: (pid: number) => void;
  } = {},
): Promise<ProvisionLock> {
  mkdirSync(directory, { recursive: true });
  let told = false;
  for (;;) {
    options.signal?.throwIfAborted();
    const holder = holderOf(directory);
    if (holder.pid === undefined) {
      const lock = tryTake(directory, holder.number + 1);
      if (lock !== undefined) return lock;
      continue;
    }
    if (!told) options.waiting?.(holder.pid);
    told = true;
    await delay(POLL_MS, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

/** Takes a lock that nobody has. @returns undefined while somebody has it */
export function tryLock(directory: string): ProvisionLock | undefined {
  mkdirSync(directory, { recursive: true });
  const { number, pid } = holderOf(directory);
  return pid === undefined ? tryTake(directory, number + 1) : undefined;
}

/** The highest number in the directory, and the process behind it while it lives. */
function holderOf(directory: string): { readonly number: number; readonly pid?: number } {
  const number = Math.max(0, ...readdirSync(directory).map(fileNumber));
  if (number === 0) return { number };
  let text: string;
  try {
    text = readFileSync(join(directory, String(number)), 'utf8');
  } catch {
    return { number }; // A higher one has come: taking this number's successor will fail or be undone.
  }
  const identity = parseIdentity(text);
  return identity !== undefined && isAlive(identity) ? { number, pid: identity.pid } : { number };
}

function fileNumber(name: string): number {
  return /^\d+$/.test(name) ? Number(name) : 0;
}

function tryTake(directory: string, number: number): ProvisionLock | undefined {
  const file = join(directory, String(number));
  const draft = join(directory, `draft-${process.pid}-${++attempts}`);
  writeFileSync(draft, JSON.stringify(identifyProcess(process.pid)));
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  const numbers = readdirSync(directory).map(fileNumber);
  if (numbers.some((other) => other > number)) {
    rmSync(file, { force: true });
    return undefined;
  }
  for (const other of numbers) {
    if (other !== 0 && other < number) rmSync(join(directory, String(other)), { force: true });
  }
  let held = true;
  const release = (): void => {
    if (!held) return;
    held = false;
    const empty = join(directory, `draft-${process.pid}-${++attempts}`);
    writeFileSync(empty, '');
    renameSync(empty, file);
  };
  return { release, [Symbol.dispose]: release };
}
