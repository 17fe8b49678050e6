import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectService, type ServiceConnection } from '../../src/daemon/connect-service.ts';
import { ended, until } from '../cli/run-cli.ts';

const NODE = ['--import', import.meta.resolve('tsx'), '--conditions=hdvkit-source'];
const program = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Requests of a flooding client that another one may wait for with each call of its own, on the average. */
const MOST_BETWEEN = 64;
/** Requests that may be on their way: in the buffers of the system, and read but not dealt with. */
const MOST_ON_THE_WAY = 2_000;
const CALLS = 1_000;

let folder: string;
let socket: string;
let other: ServiceConnection;
const children: ChildProcessWithoutNullStreams[] = [];

function start(...args: string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, [...NODE, ...args]);
  children.push(child);
  return child;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
  socket = join(folder, 'run', 'hcsd.sock');
  const options = ['--host', 'simulated', '--socket', socket, '--state', folder];
  await until(start(program('../../src/cli/hcsd/main.ts'), ...options).stdout, 'listening');
  other = await connectService({ socket });
});

afterAll(async () => {
  await other.close();
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
});

const look = (): Promise<string> => other.core.HcsGetServiceProperties(null);

test('a client that floods waits for itself: others have their turn, and the daemon keeps little of it', async () => {
  const flooder = start(program('./flooding-client.ts'), socket);
  const count = async (): Promise<{ readonly asked: number; readonly answered: number }> => {
    const told = until(flooder.stdout, '\n');
    flooder.stdin.write('\n');
    return JSON.parse(await told);
  };
  let before = await count();
  while (before.answered === 0) before = await count();
  for (let call = 0; call < CALLS; call++) await look();
  const { asked, answered } = await count();
  expect(answered).toBeGreaterThan(before.answered);
  expect((answered - before.answered) / CALLS).toBeLessThan(MOST_BETWEEN);
  expect(asked - answered).toBeLessThan(MOST_ON_THE_WAY);
  const done = ended(flooder);
  flooder.kill('SIGKILL');
  await done;
  await look();
});

test('clients that stop in the middle of a message, however many, keep nobody waiting', async () => {
  const stopped = Array.from({ length: 200 }, () => connect(socket));
  await Promise.all(stopped.map((client) => once(client, 'connect')));
  for (const client of stopped)
    client.write('Content-Length: 16000000\r\n\r\n{"jsonrpc":"2.0","method"');
  for (let call = 0; call < 100; call++) await look();
  // Each is still there, as it has not said anything wrong so far.
  expect(stopped.filter(({ destroyed }) => destroyed)).toEqual([]);
  for (const client of stopped) client.destroy();
});
