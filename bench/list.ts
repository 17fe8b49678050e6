/**
 * How long does `hcs list` take from the shell, with a daemon that runs? Of the build, as `hcs list` is for people: run
 * `npm run build` before. What Node takes to start is in it, and beside it. `--systems N`: how many there are.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { UsageError } from '../src/cli/usage-error.ts';
import { connectService } from '../src/daemon/connect-service.ts';
import { ComputeSystem } from '../src/hcs/compute-system.ts';
import { print } from './report.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    rounds: { type: 'string', default: '15' },
    systems: { type: 'string', default: '100' },
  },
});
const rounds = Number(values.rounds);
const count = Number(values.systems);

const main = fileURLToPath(new URL('../dist/src/cli/hcs/main.js', import.meta.url));
if (!existsSync(main))
  throw new UsageError(`Cannot measure ${main}: it is not there`, 'npm run build');

const folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
const socket = join(folder, 'hcsd.sock');
const { HDVKIT_HOST: _, ...rest } = process.env;
const env = { ...rest, HDVKIT_SOCKET: socket };

/** Milliseconds that a run of Node takes. */
function run(args: readonly string[]): number {
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`Cannot run ${args.join(' ')}: ${stderr}`);
  return performance.now() - started;
}

const samples: Record<'node' | 'list' | 'json', number[]> = { node: [], list: [], json: [] };
const service = await connectService({
  socket,
  startOnDemand: { host: 'simulated', stateFolder: folder, idleExitMs: 200 },
});
try {
  const document = {
    SchemaVersion: { Major: 2, Minor: 1 },
    VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 2 } } },
  };
  const { core } = service;
  const systems: ComputeSystem[] = [];
  for (let at = 0; at < count; at++) {
    systems.push(await ComputeSystem.create(`system-${at}`, document, { core }));
  }
  run([main, 'list']);
  for (let round = 0; round < rounds; round++) {
    samples.node.push(run(['-e', '0']));
    samples.list.push(run([main, 'list']));
    samples.json.push(run([main, 'list', '--json']));
  }
  await Promise.all(systems.map((system) => system[Symbol.asyncDispose]()));
} finally {
  await service.close();
  rmSync(folder, { recursive: true, force: true });
}

print({
  title: 'How long does hcs list take from the shell, with a daemon that runs?',
  measurements: [
    { name: 'node -e 0', unit: 'ms', samples: samples.node },
    { name: `hcs list, ${count} systems`, unit: 'ms', samples: samples.list },
    { name: `hcs list --json, ${count} systems`, unit: 'ms', samples: samples.json },
    {
      name: 'hcs list to node -e 0',
      unit: '×',
      samples: samples.list.map((list, at) => list / (samples.node[at] ?? Number.NaN)),
    },
  ],
});
