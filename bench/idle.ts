/**
 * What do attached devices cost that nobody uses? 64 of them in simulated machines, on two workers and on a worker each.
 *
 * `--devices N` attaches another number, `--seconds N` looks for another time than 10 s, and
 * `--settle N` waits another time than 70 s before.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { ComputeSystem, DeviceHost } from 'hdvkit';
import { packageRoot } from '../src/cli/package.ts';
import { ProgressDisplay } from '../src/cli/progress.ts';
import { createSimulatedHost } from '../src/hosts/simulated/host.ts';
import { count, type Measurement, print } from './report.ts';

const DEVICES = count('--devices', 64);
const SECONDS = count('--seconds', 10);
/** V8 collects the garbage of a start, in each thread, for up to a minute after it. */
const SETTLE_MS = count('--settle', 70) * 1000;
/** Slots of a machine's bus. */
const PER_MACHINE = 32;
const MODULE = pathToFileURL(join(packageRoot(), 'sample-devices/edu.ts'));

/** How often threads of this process went to sleep; undefined where the system does not say. */
function sleeps(): number | undefined {
  try {
    return readdirSync('/proc/self/task')
      .map((id) => readFileSync(`/proc/self/task/${id}/status`, 'latin1'))
      .reduce((sum, text) => sum + Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(text)?.[1]), 0);
  } catch {
    return undefined;
  }
}

const display = new ProgressDisplay();

async function measure(name: string, groupOf: (device: number) => string | undefined) {
  const host = createSimulatedHost({ placement: 'worker' });
  const document = {
    SchemaVersion: { Major: 2, Minor: 1 },
    Owner: 'hdvkit bench',
    VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 16 }, Processor: { Count: 1 } } },
  };
  const systems: ComputeSystem[] = [];
  const hosts: DeviceHost[] = [];
  for (let device = 0; device < DEVICES; device++) {
    if (device % PER_MACHINE === 0) {
      const system = await ComputeSystem.create(`idle-${device}`, document, {
        core: host.computeCore,
      });
      systems.push(system);
      await system.start();
      hosts.push(await DeviceHost.create(system, { binding: host.hdv }));
    }
    const group = groupOf(device);
    await hosts.at(-1)!.attach(MODULE, group === undefined ? {} : { group });
  }
  for (let waited = 0; waited < SETTLE_MS; waited += 1000) {
    display.update({ step: `let ${name} settle`, done: waited, total: SETTLE_MS });
    await delay(1000);
  }
  const load: number[] = [];
  const wakes: number[] = [];
  for (let second = 0; second < SECONDS; second++) {
    display.update({ step: `look at ${name}`, done: second, total: SECONDS });
    const slept = sleeps();
    const cpu = process.cpuUsage();
    await delay(1000);
    const { user, system } = process.cpuUsage(cpu);
    load.push((user + system) / 10_000);
    const now = sleeps();
    if (now !== undefined && slept !== undefined) wakes.push(now - slept);
  }
  display.finish();
  for (const devices of hosts) await devices[Symbol.asyncDispose]();
  for (const system of systems) await system[Symbol.asyncDispose]();
  await host.close();
  const rows: Measurement[] = [
    { name: `${name}: processor time`, unit: '% of a core', samples: load },
    { name: `${name}: wake-ups of all threads`, unit: 'per second', samples: wakes },
  ];
  return rows.filter(({ samples }) => samples.length > 0);
}

print({
  title: `${DEVICES} idle devices on the simulated host, samples of one second`,
  measurements: [
    ...(await measure('two workers', (device) => `${device % 2}`)),
    ...(await measure('a worker each', () => undefined)),
  ],
});
