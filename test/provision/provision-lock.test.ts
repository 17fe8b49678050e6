import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { identifyProcess, isAlive } from '../../src/provision/process-identity.ts';
import { takeLock } from '../../src/provision/provision-lock.ts';

/** A loaded machine takes its time. */
const PATIENCE = { timeout: 30_000 };
const root = new URL('../..', import.meta.url);
const lockModule = new URL('../../src/provision/provision-lock.ts', import.meta.url);
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvl-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a module that has `takeLock`, the lock's folder and the log file at hand. */
function start(body: string): { readonly output: Promise<string>; kill(): Promise<void> } {
  const text = `import { appendFileSync, readFileSync } from 'node:fs';
    import { takeLock } from '${lockModule.href}';
    const [lock, log] = process.argv.slice(2);
    ${body}`;
  const file = join(folder, `p${readdirSync(folder).length}.mts`);
  writeFileSync(file, text);
  const child = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      '--conditions=hdvkit-source',
      file,
      join(folder, 'lock'),
      join(folder, 'log'),
    ],
    { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let printed = '';
  let told: (text: string) => void = () => {};
  const output = new Promise<string>((resolve) => {
    told = resolve;
  });
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    printed += chunk;
    if (printed.includes('\n')) told(printed);
  });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  void gone.then(() => told(printed));
  return {
    output,
    async kill() {
      child.kill('SIGKILL');
      await gone;
    },
  };
}

describe('a lock between processes', () => {
  test('keeps out everyone else until it is released', async () => {
    const lock = join(folder, 'lock');
    const first = await takeLock(lock);
    const waitedFor: number[] = [];
    const second = takeLock(lock, { waiting: (pid) => waitedFor.push(pid) });
    await expect.poll(() => waitedFor, PATIENCE).toEqual([process.pid]);
    first.release();
    first.release();
    (await second).release();
  });

  test('is held by one of several processes at a time', async () => {
    const body = `const held = await takeLock(lock);
      for (let i = 0; i < 20; i++) {
        appendFileSync(log, 'in\\n');
        const lines = readFileSync(log, 'utf8').trim().split('\\n');
        if (lines.at(-2) === 'in') appendFileSync(log, 'two at once\\n');
        appendFileSync(log, 'out\\n');
      }
      held.release();
      console.log('done');`;
    const all = [start(body), start(body), start(body)];
    expect(await Promise.all(all.map(({ output }) => output))).toEqual(all.map(() => 'done\n'));
    const lines = readFileSync(join(folder, 'log'), 'utf8').trim().split('\n');
    expect(lines).toHaveLength(3 * 40);
    expect(lines).not.toContain('two at once');
  });

  test('does not stay with a process that was killed', async () => {
    const holder = start(`await takeLock(lock); console.log('held'); setInterval(() => {}, 1000);`);
    expect(await holder.output).toBe('held\n');
    await holder.kill();
    const lock = await takeLock(join(folder, 'lock'));
    lock.release();
    expect(readdirSync(join(folder, 'lock'))).toHaveLength(1);
  });

  test('does not stay with a process whose id another one has now', async () => {
    const lock = join(folder, 'lock');
    mkdirSync(lock);
    const stranger = { pid: process.pid, started: '1@another-boot' };
    writeFileSync(join(lock, '7'), JSON.stringify(stranger));
    (await takeLock(lock)).release();
    expect(readdirSync(lock)).toEqual(['8']);
  });

  test('ends the wait of a caller that gives up', async () => {
    const lock = join(folder, 'lock');
    using _held = await takeLock(lock);
    const abort = new AbortController();
    const waiting = takeLock(lock, {
      signal: abort.signal,
      waiting: () => abort.abort(new Error('enough')),
    });
    await expect(waiting).rejects.toThrow();
    expect(abort.signal.aborted).toBe(true);
  });
});

describe('the identity of a process', () => {
  test('is alive while it runs and never again', async () => {
    const child = spawn('sleep', ['60']);
    const identity = identifyProcess(child.pid as number);
    expect(identity?.pid).toBe(child.pid);
    if (identity === undefined) return;
    expect(isAlive(identity)).toBe(true);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(isAlive(identity)).toBe(false);
  });
});
