import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { identifyProcess } from '../../../src/provision/process-identity.ts';
import { lockLane } from './lane-lock.ts';

const PATIENCE = { timeout: 30_000 };

let folder: string;
let cache: string;
let build: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvkit-lane-'));
  cache = join(folder, 'cache');
  build = join(folder, 'build');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const silent = (line: string): never => expect.unreachable(line);

describe('a run of programs for Windows', () => {
  test('says at once for whom it waits, where, and what to do, and goes on afterwards', async () => {
    const first = await lockLane({ cache, build }, silent);
    const lines: string[] = [];
    const second = lockLane({ cache, build }, (line) => lines.push(line));
    await expect.poll(() => lines, PATIENCE).toHaveLength(1);
    expect(lines[0]).toBe(
      `Waiting for process ${process.pid}, which runs programs for Windows and holds ${join(cache, 'locks/run')}: it goes on when that one ends ("kill ${process.pid}" ends it). To run beside it, set HDVKIT_CACHE to another folder, in another checkout`,
    );
    first[Symbol.dispose]();
    (await second)[Symbol.dispose]();
    expect(lines).toHaveLength(1);
  });

  test('with a cache of its own still waits for the build of its checkout', async () => {
    const first = await lockLane({ cache, build }, silent);
    const lines: string[] = [];
    const other = { cache: join(folder, 'other'), build };
    const second = lockLane(other, (line) => lines.push(line));
    await expect.poll(() => lines, PATIENCE).toHaveLength(1);
    expect(lines[0]).toContain(join(build, 'locks/run'));
    expect(lines[0]).toContain('use another checkout');
    first[Symbol.dispose]();
    (await second)[Symbol.dispose]();
  });

  test('takes over from one that was killed, without a word', async () => {
    const killed = spawn('sleep', ['60']);
    for (const lock of [join(cache, 'locks/run'), join(build, 'locks/run')]) {
      mkdirSync(lock, { recursive: true });
      writeFileSync(join(lock, '3'), JSON.stringify(identifyProcess(killed.pid as number)));
    }
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    (await lockLane({ cache, build }, silent))[Symbol.dispose]();
  });
});
