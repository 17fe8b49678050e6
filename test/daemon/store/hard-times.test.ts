import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StateStore } from '../../../src/daemon/store/state-store.ts';
import type { StoreError } from '../../../src/daemon/store/store-error.ts';

const WRITER = fileURLToPath(new URL('writer.ts', import.meta.url));
const DISK = fileURLToPath(new URL('hard-disk.ts', import.meta.url));
const NODE = [process.execPath, '--import', 'tsx', '--conditions=hdvkit-source'] as const;

let folder: string;
const children = new Set<ChildProcess>();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvkit-store-'));
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
  rmSync(folder, { recursive: true, force: true });
});

/** A process that writes numbers, each in a transaction of its own, and says each when it is stored. */
function write(...limit: readonly string[]): {
  readonly child: ChildProcess;
  readonly lines: AsyncIterator<string>;
} {
  const [command, ...args] = NODE;
  const child = spawn(command, [...args, WRITER, folder, ...limit], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.add(child);
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return { child, lines };
}

test('all that a writer said it had stored is there after its SIGKILL, and nothing by halves', async () => {
  let stored = -1;
  for (const count of [1, 40, 7, 133]) {
    const { child, lines } = write();
    for (let i = 0; i < count; i++) stored = Number((await lines.next()).value);
    child.kill('SIGKILL');
    for (let line = await lines.next(); !line.done; line = await lines.next()) {
      stored = Number(line.value);
    }
    using store = StateStore.open(folder, {
      warn: (text) => {
        throw new Error(text);
      },
    });
    const found = store.systems.get({ space: '', id: 'counter' })?.engineRecord as number;
    // One more may have been stored than the writer came to say.
    expect([stored, stored + 1]).toContain(found);
    // Each number came with a resource and an operation, in one transaction; the next takes the operation away.
    expect(store.resources.all().map(({ name }) => Number(name))).toEqual(
      Array.from({ length: found + 1 }, (_, i) => i),
    );
    expect(store.operations.all().map(({ details }) => details)).toEqual([found]);
    stored = found;
  }
});

test('a second process is refused by the id of the first, and let in when that has ended', async () => {
  const { child, lines } = write('1');
  await lines.next();
  const refusal = (): StoreError | undefined => {
    try {
      StateStore.open(folder).close();
      return undefined;
    } catch (error) {
      return error as StoreError;
    }
  };
  expect(refusal()?.kind).toBe('locked');
  expect(refusal()?.message).toContain(`process ${child.pid}`);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(refusal()).toBeUndefined();
});

test('full and read-only disks are told as such, and what was stored stays', () => {
  // In name spaces of its own, where anybody may mount, and from where no mount is left behind.
  const isRoot = process.getuid?.() === 0;
  const output = execFileSync(
    'unshare',
    [...(isRoot ? [] : ['--user', '--map-root-user']), '--mount', ...NODE, DISK, folder],
    { encoding: 'utf8' },
  );
  const { full, again, afterFull, readOnly, reads, fresh } = JSON.parse(output);
  expect(full).toEqual({ kind: 'full', kept: true, half: false });
  expect(again).toBe('stored');
  expect(afterFull).toEqual({ damaged: null, kept: true });
  expect(readOnly).toBe('readOnly');
  expect(reads).toBe(true);
  expect(fresh).toBe('readOnly');
});
