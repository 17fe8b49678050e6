/**
 * How long does it take to take over the machines of an owner that was killed?
 *
 * `--machines N` leaves another number of them than 16, `--rounds N` measures another number of times than 5. Machines run
 * a kernel that does nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { lastingEngine, type OwnerRequest } from '../test/guest/lasting-machines.ts';
import { count, print } from './report.ts';

const ROUNDS = count('--rounds', 5);
const MACHINES = count('--machines', 16);
const OWNER = fileURLToPath(new URL('../test/guest/machine-owner.ts', import.meta.url));

const parent = mkdtempSync(join(tmpdir(), 'hdvb-'));
chmodSync(parent, 0o777); // A machine of root's has an account of its own.
const folder = join(parent, 'run');
let owner: ChildProcess | undefined;

/** Has another process make machines, and kills it. */
async function leave(): Promise<unknown[]> {
  const machines = Array.from({ length: MACHINES }, (_, i) => ({
    id: `vm${i}`,
    state: 'Running' as const,
  }));
  const request: OwnerRequest = { folder, machines };
  const options = ['--import', 'tsx', '--conditions=hdvkit-source'];
  owner = spawn(process.execPath, [...options, OWNER, JSON.stringify(request)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  // Many records are more than a pipe holds.
  while (!text.endsWith('\n')) {
    const [part] = (await once(owner.stdout!.setEncoding('utf8'), 'data')) as [string];
    text += part;
  }
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  return JSON.parse(text) as unknown[];
}

const samples: number[] = [];
try {
  for (let round = 0; round < ROUNDS; round++) {
    const records = await leave();
    const begin = performance.now();
    const engine = lastingEngine(folder);
    const adoptions = await Promise.all(
      records.map((record, i) =>
        engine.adopt(record, {
          id: `vm${i}`,
          runtimeId: randomUUID(),
          document: {},
          exited: () => {},
          notify: () => {},
        }),
      ),
    );
    samples.push(performance.now() - begin);
    await Promise.all(adoptions.map((one) => one.kind === 'machine' && one.system.terminate()));
  }
} finally {
  owner?.kill('SIGKILL');
  await lastingEngine(folder).reap([]);
  rmSync(parent, { recursive: true, force: true });
}

print({
  title: 'How long does it take to take over the machines of an owner that was killed?',
  measurements: [{ name: `${MACHINES} machines taken over`, unit: 'ms', samples }],
});
