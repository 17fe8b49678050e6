/**
 * How many accesses do 1 to 4 virtual processors make of 1 to 64 devices in a second?
 *
 * On the simulated host, with all devices on one worker and with a worker for each; a machine has 32 slots, so that 64
 * devices are in two machines, each with its processors. Processors start together and read registers of the devices in
 * turn.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ComputeSystem, DeviceHost } from 'hdvkit';
import { GuestPlatform } from 'hdvkit/testing';
import { packageRoot } from '../src/cli/package.ts';
import { ProgressDisplay } from '../src/cli/progress.ts';
import { createSimulatedHost, type SimulatedHost } from '../src/hosts/simulated/host.ts';
import { moduleExtension } from '../src/transport/typescript-loader.ts';
import { count, type Measurement, option, print } from './report.ts';
import type { ReadsArgument } from './scaling/reads.ts';

const ROUNDS = count('--rounds', 7);
const DEVICES = (option('--devices') ?? '1,4,16,32,64').split(',').map(Number);
const PROCESSORS = [1, 2, 4];
const MILLISECONDS = 150;
/** Slots of a machine's bus. */
const PER_MACHINE = 32;
const MODULE = pathToFileURL(join(packageRoot(), 'sample-devices/edu.ts'));
/** RAM that nothing else uses. */
const MEETING = 0x10_0000;
const PROGRAM = new URL(`./scaling/reads${moduleExtension}`, import.meta.url);

const GROUPINGS = [
  { name: 'one worker', group: 'all' },
  { name: 'a worker each', group: undefined },
] as const;

/** A machine with devices, and where their first registers are. */
interface Machine {
  readonly system: ComputeSystem;
  readonly devices: DeviceHost;
  readonly registers: readonly number[];
}

async function startMachine(
  host: SimulatedHost,
  name: string,
  devices: number,
  group: string | undefined,
): Promise<Machine> {
  const document = {
    SchemaVersion: { Major: 2, Minor: 1 },
    Owner: 'hdvkit bench',
    VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 16 }, Processor: { Count: 4 } } },
  };
  const system = await ComputeSystem.create(name, document, { core: host.computeCore });
  await system.start();
  const deviceHost = await DeviceHost.create(system, { binding: host.hdv });
  for (let i = 0; i < devices; i++) {
    await deviceHost.attach(MODULE, group === undefined ? {} : { group });
  }
  const machine = host.machineOf(system.id);
  if (machine === undefined) throw new Error(`Cannot measure: machine ${name} has ended`);
  const drivers = new GuestPlatform(machine).enumerate();
  return { system, devices: deviceHost, registers: drivers.map((driver) => driver.bar(0).gpa) };
}

/** Reads per second of all processors of all machines, in each round but the first, which warms up. */
async function rates(
  host: SimulatedHost,
  machines: readonly Machine[],
  processors: number,
): Promise<number[]> {
  const perProcessor = await Promise.all(
    machines.map(({ system, registers }) => {
      const argument: ReadsArgument = {
        registers,
        milliseconds: MILLISECONDS,
        rounds: ROUNDS + 1,
        meeting: MEETING + processors * 0x1000,
      };
      return host.run(system.id, PROGRAM, { processors, argument });
    }),
  );
  const all = perProcessor.flat() as number[][];
  return Array.from({ length: ROUNDS }, (_, round) =>
    all.reduce((sum, ofRounds) => sum + (ofRounds[round + 1] ?? 0), 0),
  );
}

async function measure(
  devices: number,
  { name, group }: (typeof GROUPINGS)[number],
): Promise<Measurement[]> {
  const host = createSimulatedHost({ placement: 'worker' });
  const machines: Machine[] = [];
  for (let left = devices; left > 0; left -= PER_MACHINE) {
    const id = `scaling-${devices}-${machines.length}`;
    machines.push(await startMachine(host, id, Math.min(left, PER_MACHINE), group));
  }
  const xLabel =
    machines.length === 1 ? String(devices) : `${devices}, ${machines.length} machines`;
  const rows: Measurement[] = [];
  for (const processors of PROCESSORS) {
    const series = `${name}, ${processors === 1 ? '1 processor' : `${processors} processors`}`;
    rows.push({
      name: `${series}, devices: ${xLabel}`,
      unit: 'per second',
      samples: await rates(host, machines, processors),
      series,
      x: devices,
      xLabel,
    });
  }
  for (const machine of machines) {
    await machine.devices[Symbol.asyncDispose]();
    await machine.system[Symbol.asyncDispose]();
  }
  await host.close();
  return rows;
}

const measurements: Measurement[] = [];
const setUps = DEVICES.flatMap((devices) => GROUPINGS.map((grouping) => ({ devices, grouping })));
const display = new ProgressDisplay();
for (const [done, { devices, grouping }] of setUps.entries()) {
  display.update({ step: 'read registers', done, total: setUps.length });
  measurements.push(...(await measure(devices, grouping)));
}
display.finish();
print({
  title: 'How many register reads do virtual processors make of devices on workers in a second?',
  x: 'devices',
  measurements,
});
