/**
 * How long does it take to attach a device, and how much memory does a further one take?
 *
 * On the simulated host: on this thread, on a worker that all share, on a worker each; and on a worker each where the
 * device is compiled, so that no worker has to load TypeScript. Every round is a process of its own, as memory that was
 * used once does not all come back. A *further* device is each but the first.
 */
import { execFile } from 'node:child_process';
import { extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { ComputeSystem, DeviceHost } from 'hdvkit';
import { packageRoot } from '../src/cli/package.ts';
import { loadTypeScript } from '../src/cli/typescript.ts';
import { createSimulatedHost } from '../src/hosts/simulated/host.ts';
import { count, eachRound, median, option, print, Samples } from './report.ts';

const ROUNDS = count('--rounds', 5);
/** A machine's bus has 32 slots. */
const DEVICES = Math.min(count('--devices', 12), 32);
const MODULE = pathToFileURL(join(packageRoot(), 'sample-devices/edu.ts'));

/** As the package has it: JavaScript where this program is built, TypeScript in a checkout. */
const PACKAGED = new URL(
  `../devices/gpio-idio-16/index${extname(import.meta.url)}`,
  import.meta.url,
);

const WAYS = {
  'on this thread': { placement: 'inline' },
  'one worker for all': { placement: 'worker', group: 'all' },
  'a worker each': { placement: 'worker' },
  'a worker each, compiled': { placement: 'worker' },
} as const;

const isBuilt = PACKAGED.pathname.endsWith('.js');
const ways = Object.keys(WAYS).filter((way) => isBuilt || !way.endsWith('compiled'));

interface Figures {
  /** Milliseconds. */
  readonly first: number;
  readonly further: number;
  /** MiB. */
  readonly memory: number;
}

/** Resident memory in MiB, garbage gone where this process may say so. */
function resident(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage().rss / 2 ** 20;
}

/** Runs in a process of its own, and prints {@link Figures}. */
async function attachAll(way: keyof typeof WAYS): Promise<Figures> {
  await loadTypeScript();
  const host = createSimulatedHost();
  const document = {
    SchemaVersion: { Major: 2, Minor: 1 },
    Owner: 'hdvkit bench',
    VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 16 }, Processor: { Count: 1 } } },
  };
  const system = await ComputeSystem.create('attach', document, { core: host.computeCore });
  await system.start();
  const devices = await DeviceHost.create(system, { binding: host.hdv });
  const times: number[] = [];
  let before = 0;
  for (let i = 0; i < DEVICES; i++) {
    const started = performance.now();
    await devices.attach(way.endsWith('compiled') ? PACKAGED : MODULE, WAYS[way]);
    times.push(performance.now() - started);
    if (i === 0) before = resident();
  }
  const memory = (resident() - before) / Math.max(DEVICES - 1, 1);
  const [first = 0, ...further] = times;
  await devices[Symbol.asyncDispose]();
  await system[Symbol.asyncDispose]();
  await host.close();
  return { first, further: further.length === 0 ? first : median(further), memory };
}

async function main(): Promise<void> {
  const samples = new Samples();
  const run = promisify(execFile);
  const measure = async (): Promise<void> => {
    for (const way of ways) {
      const { stdout } = await run(process.execPath, [
        ...process.execArgv,
        '--expose-gc',
        fileURLToPath(import.meta.url),
        ...['--way', way, '--devices', String(DEVICES)],
      ]);
      const { first, further, memory } = JSON.parse(stdout) as Figures;
      samples.add(`${way}: first device`, 'ms', first);
      samples.add(`${way}: further device`, 'ms', further);
      samples.add(`${way}: memory of a further device`, 'MiB', memory);
    }
  };
  // Each process is new: there is nothing to warm up.
  await eachRound('attach', ROUNDS, measure, { warmUps: 0 });
  print({
    title: `How long does it take to attach a device, and how much memory does it take? ${DEVICES} devices`,
    measurements: samples.measurements,
  });
}

const way = option('--way');
if (way === undefined) await main();
else process.stdout.write(JSON.stringify(await attachAll(way as keyof typeof WAYS)));
