/**
 * How many calls does `hcsd` answer, how soon do many clients hear of an event, and does it grow? The daemon is a process
 * of its own, with simulated machines; all clients are in this one. `--cycles N`: creations for the growth.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { ComputeFunctions } from '../src/compute/compute-functions.ts';
import { connectService, type ServiceConnection } from '../src/daemon/connect-service.ts';
import { GENERIC_ALL, INFINITE } from '../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../src/hcs/core/handles.ts';
import { print } from './report.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    calls: { type: 'string', default: '20000' },
    clients: { type: 'string', default: '1000' },
    cycles: { type: 'string', default: '10000' },
  },
});
const rounds = Number(values.rounds);
const calls = Number(values.calls);
const many = Number(values.clients);
const cycles = Number(values.cycles);

const CALLERS = 8;
/** As many again come first: a heap takes its time to find its size. */
const WARM_CYCLES = cycles;
const document = JSON.stringify({
  Owner: 'bench',
  SchemaVersion: { Major: 2, Minor: 1 },
  VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 2 } } },
});

/** Ticks of a process's processor time per second (proc(5)): 100 on every Linux. */
const TICKS = 100;

const folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
const daemons = new Set<number>();

async function connect(name = 'hcsd.sock'): Promise<ServiceConnection> {
  const connection = await connectService({
    socket: join(folder, name),
    startOnDemand: {
      host: 'simulated',
      idleExitMs: 200,
      stateFolder: join(folder, `${name}.state`),
    },
  });
  daemons.add(connection.service.pid);
  return connection;
}

/** Waits until the daemons have ended, as they write to their folders until then. */
async function allEnded(limitMs = 10_000): Promise<void> {
  const end = performance.now() + limitMs;
  while ([...daemons].some((pid) => existsSync(`/proc/${pid}`)) && performance.now() < end) {
    await delay(20);
  }
}

async function run(
  core: ComputeFunctions,
  start: (operation: HCS_OPERATION) => void,
): Promise<void> {
  const operation = core.HcsCreateOperation(null, null);
  start(operation);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  core.HcsCloseOperation(operation);
}

async function create(core: ComputeFunctions, id: string): Promise<HCS_SYSTEM> {
  let system = 0n as HCS_SYSTEM;
  await run(core, (operation) => {
    system = core.HcsCreateComputeSystem(id, document, operation, null);
  });
  return system;
}

async function terminate(core: ComputeFunctions, system: HCS_SYSTEM): Promise<void> {
  await run(core, (operation) => core.HcsTerminateComputeSystem(system, operation, null));
  await core.HcsCloseComputeSystem(system);
}

/** Seconds of processor time that a process has taken. */
function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** MiB of memory that a process has. */
function memory(pid: number): number {
  const [, kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return Number(kib) / 1024;
}

async function measureCalls(
  clients: readonly ServiceConnection[],
  systems: readonly HCS_SYSTEM[],
  outstanding: number,
): Promise<{ readonly rate: number; readonly cost: number }> {
  const { pid } = clients[0]!.service;
  const perLoop = Math.ceil(calls / CALLERS / outstanding);
  const [start, before] = [performance.now(), processorTime(pid)];
  const loops = clients.flatMap(({ core }, index) =>
    Array.from({ length: outstanding }, async () => {
      const operation = core.HcsCreateOperation(null, null);
      for (let n = 0; n < perLoop; n++) {
        core.HcsGetComputeSystemProperties(systems[index]!, operation, null);
        await core.HcsWaitForOperationResult(operation, INFINITE);
      }
      core.HcsCloseOperation(operation);
    }),
  );
  await Promise.all(loops);
  const made = perLoop * outstanding * CALLERS;
  return {
    rate: (made / (performance.now() - start)) * 1000,
    cost: ((processorTime(pid) - before) / made) * 1e6,
  };
}

/** Milliseconds until every client has heard of the end of a system. */
async function measureEvent(clients: readonly ServiceConnection[]): Promise<number> {
  const [first] = clients;
  const system = await create(first!.core, 'event');
  let heard = 0;
  let done: () => void = () => {};
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  const handles = await Promise.all(
    clients.map(async ({ core }) => {
      const handle = await core.HcsOpenComputeSystem('event', GENERIC_ALL);
      core.HcsSetComputeSystemCallback(handle, 0, null, () => {
        heard++;
        if (heard === clients.length) done();
      });
      return handle;
    }),
  );
  const start = performance.now();
  const ended = run(first!.core, (o) => first!.core.HcsTerminateComputeSystem(system, o, null));
  await all;
  const took = performance.now() - start;
  await ended;
  await first!.core.HcsCloseComputeSystem(system);
  await Promise.all(clients.map(({ core }, n) => core.HcsCloseComputeSystem(handles[n]!)));
  return took;
}

async function measureGrowth({ core, service }: ServiceConnection): Promise<number> {
  const cycle = async (n: number): Promise<void> => terminate(core, await create(core, `c${n}`));
  for (let n = 0; n < WARM_CYCLES; n++) await cycle(n);
  const before = memory(service.pid);
  for (let n = 0; n < cycles; n++) await cycle(n);
  return memory(service.pid) - before;
}

try {
  const clients = await Promise.all(Array.from({ length: CALLERS }, () => connect()));
  const systems = await Promise.all(clients.map(({ core }, n) => create(core, `vm${n}`)));
  const [single, deep, cost]: number[][] = [[], [], []];
  await measureCalls(clients, systems, 16);
  for (let round = 0; round < rounds; round++) {
    single!.push((await measureCalls(clients, systems, 1)).rate);
    const measured = await measureCalls(clients, systems, 16);
    deep!.push(measured.rate);
    cost!.push(measured.cost);
  }
  const crowd = await Promise.all(Array.from({ length: many }, () => connect()));
  const events: number[] = [];
  for (let round = 0; round < rounds; round++) events.push(await measureEvent(crowd));
  await Promise.all(crowd.map((client) => client.close()));
  // Young objects in little room, so that the heap is as large before as after.
  process.env.NODE_OPTIONS = '--max-semi-space-size=2';
  const other = await connect('other.sock');
  const growth = await measureGrowth(other);
  await other.close();
  await Promise.all(clients.map((client, n) => terminate(client.core, systems[n]!)));
  await Promise.all(clients.map((client) => client.close()));
  print({
    title:
      'How many calls does hcsd answer, how soon do clients hear of an event, and does it grow?',
    measurements: [
      {
        name: `basic properties, ${CALLERS} clients, a call at a time each`,
        unit: 'per second',
        samples: single!,
      },
      {
        name: `basic properties, ${CALLERS} clients, 16 calls at a time each`,
        unit: 'per second',
        samples: deep!,
      },
      { name: 'processor time of the daemon for one of those', unit: 'µs', samples: cost! },
      { name: `one event to ${many} clients`, unit: 'ms', samples: events },
      { name: `growth of the daemon after ${cycles} systems`, unit: 'MiB', samples: [growth] },
    ],
  });
} finally {
  await allEnded();
  rmSync(folder, { recursive: true, force: true });
}
