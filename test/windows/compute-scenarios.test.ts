import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { moduleExtension, workerExecArgv } from '../../src/transport/typescript-loader.ts';
import { openStandIns, standInsUnavailable } from './stand-ins.ts';

if (standInsUnavailable !== undefined) console.log(`Skipped: ${standInsUnavailable}`);

const program = fileURLToPath(new URL(`./compute-scenario${moduleExtension}`, import.meta.url));

/** Programs that have not ended: one that lives for ever, because something is wrong, must not do so. */
const running = new Set<ChildProcess>();

/** Runs a scenario in a process of its own. */
function play(
  name: string,
): Promise<{ readonly lines: readonly string[]; readonly code: unknown }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...workerExecArgv(false), program, name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    running.add(child);
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      running.delete(child);
      resolve({ lines: output.split(/\r?\n/).filter((line) => line !== ''), code: code ?? signal });
    });
  });
}

describe.runIf(standInsUnavailable === undefined)('a process', () => {
  beforeAll(() => openStandIns().close());

  afterEach(() => {
    for (const child of running) child.kill('SIGKILL');
    running.clear();
  });

  test.each([
    [
      'lives as long as an operation is in flight whose callback is to come',
      'operation',
      'completed',
    ],
    ['lives as long as somebody waits', 'wait', 'waited'],
    ['lives until the exit was delivered to an event callback', 'events', 'exited'],
  ])('%s', async (_title, name, line) => {
    expect(await play(name)).toEqual({ lines: [line], code: 0 });
  });

  test.each([
    ['an operation that was closed in flight', 'closedOperation'],
    ['a closed handle whose event callback was set', 'closedHandle'],
    ['waits whose handles were closed', 'closedWait'],
    ['an open handle whose event callback was taken off', 'quietHandle'],
  ])('does not live for %s', async (_title, name) => {
    expect(await play(name)).toEqual({ lines: [], code: 0 });
  });

  test('does not live for a ComputeSystem that was disposed of', async () => {
    expect(await play('object')).toEqual({ lines: ['ForcedExit'], code: 0 });
  });

  test('hears of what a callback throws, and the next callback comes', async () => {
    const { lines, code } = await play('throwing');
    expect([[...lines].sort(), code]).toEqual([['completed', 'uncaught: not today'], 0]);
  });

  test('can end while calls are in flight', async () => {
    expect(await play('exit')).toEqual({ lines: ['leaves'], code: 7 });
  });

  test('sets no callbacks on worker threads, and can do everything else there', async () => {
    expect(await play('worker')).toEqual({
      lines: [
        'HcsCreateOperation ERROR_NOT_SUPPORTED',
        'HcsCreateOperationWithNotifications ERROR_NOT_SUPPORTED',
        'HcsSetOperationCallback ERROR_NOT_SUPPORTED',
        'HcsSetComputeSystemCallback ERROR_NOT_SUPPORTED',
        'Running',
        'events ERROR_NOT_SUPPORTED',
        'ForcedExit',
        'done',
      ],
      code: 0,
    });
  });
});
