import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SimulatedGuestAccess } from 'hdvkit/testing';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { EDU } from '../../sample-devices/edu.ts';
import { ComputeFunctions } from '../../src/compute/compute-functions.ts';
import { DeviceDirectory } from '../../src/compute/device-directory.ts';
import type { RemoteService } from '../../src/daemon/remote-service.ts';
import type { SimulatedEngine } from '../../src/engines/simulated/engine.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { simulatedServiceOptions } from '../../src/hosts/simulated/host.ts';
import { createServedEngine } from '../../src/hosts/simulated/served-engine.ts';
import { until } from '../cli/run-cli.ts';
import {
  CLASS_ID,
  deviceRequest,
  errorOf,
  INSTANCE,
  RecordedEndpoint,
  vm,
} from '../compute/recording-engine.ts';
import { InProcessDaemon } from './in-process.ts';
import { runOperation } from './run-operation.ts';

/** Milliseconds that devices may take where none ever answers, and where one does until it is stopped. */
const NEVER_MS = 1500;
const ANSWERS_MS = 10_000;

const folder = mkdtempSync(join(tmpdir(), 'process-devices-'));
const key = { systemId: 'vm', classId: CLASS_ID, instanceId: INSTANCE };
const log: string[] = [];
let under: InProcessDaemon;
let engine: SimulatedEngine;
let remote: RemoteService;
let core: ComputeFunctions;
let system: HCS_SYSTEM;

const run = (start: (operation: HCS_OPERATION) => void, on = core) => runOperation(on, start);

const modify = (request: object) =>
  run((o) => core.HcsModifyComputeSystem(system, o, JSON.stringify(request), null));

async function serve(limitMs: number): Promise<void> {
  const directory = new DeviceDirectory();
  const served = createServedEngine({ log: (line) => log.push(line), limitMs });
  engine = served.engine;
  const options = simulatedServiceOptions({ directory, engine });
  under = new InProcessDaemon({ host: 'simulated', programs: served.programs }, options);
  remote = under.remote();
  core = new ComputeFunctions(remote);
  await run((operation) => {
    system = core.HcsCreateComputeSystem('vm', JSON.stringify(vm()), operation, null);
  });
  await run((operation) => core.HcsStartComputeSystem(system, operation, null));
}

beforeEach(() => {
  log.length = 0;
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

let server: Server | undefined;

afterEach(async () => {
  server?.close();
  await under.close();
});

/** A process that takes whoever connects and says something, or nothing. */
async function listen(name: string, says: string): Promise<string> {
  const path = join(folder, name);
  server = createServer((socket) => {
    socket.on('error', () => {});
    if (says !== '') socket.write(says);
  });
  server.listen(path);
  await once(server, 'listening');
  return path;
}

/** Why a device with this endpoint cannot be given to the machine. */
async function reasonWith(endpoint: unknown): Promise<string> {
  const device = new RecordedEndpoint();
  device.powerOn = async () => endpoint;
  const withdraw = await remote.register(key, device);
  const { reason } = await errorOf(() => modify(deviceRequest('Add', INSTANCE)));
  await withdraw();
  return reason;
}

test('devices that cannot be reached are refused by name, and the machine goes on', async () => {
  await serve(NEVER_MS);
  const at = (socketPath: string) => ({ kind: 'vfio-user', socketPath, msix: false });
  const reasons = [
    await reasonWith({ kind: 'function', function: {}, line: {} }),
    await reasonWith({ kind: 'vfio-user', socketPath: 7 }),
    await reasonWith(null),
    await reasonWith(at(join(folder, 'nobody'))),
    await reasonWith(at(join(folder, 'x'.repeat(200)))),
    await reasonWith(at(await listen('silent', ''))),
    await reasonWith(at(await listen('chatty', 'not vfio-user '.repeat(1000)))),
  ];
  expect(reasons).toEqual([
    expect.stringContaining('offers no vfio-user socket'),
    expect.stringContaining('offers no vfio-user socket'),
    expect.stringContaining('offers no vfio-user socket'),
    expect.stringContaining('ENOENT'),
    expect.stringContaining('paths have 1 to 107 bytes'),
    expect.stringContaining('none came in time'),
    expect.stringMatching(/none came in time|the server is gone/),
  ]);
  const machine = engine.machineOf('vm');
  expect(machine?.bus.slots).toEqual([]);
  expect(log).toEqual([]);
});

const url = (path: string): string => new URL(`../../${path}`, import.meta.url).href;

test('a device whose process hangs answers all ones after the limit, and is taken out', async () => {
  await serve(ANSWERS_MS);
  const program = join(folder, 'developer.mts');
  writeFileSync(
    program,
    `import { ComputeSystem, DeviceHost, useService } from '${url('src/index.ts')}';
    await useService({ socket: '${under.path}' });
    const devices = await DeviceHost.create(await ComputeSystem.open('vm'));
    await devices.attach(new URL('${url('sample-devices/edu.ts')}'), { export: 'EduDevice' });
    console.log('attached');
    setInterval(() => devices, 1000);`,
  );
  const args = ['--import', import.meta.resolve('tsx'), '--conditions=hdvkit-source', program];
  const developer = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await until(developer.stdout, 'attached');
    const machine = engine.machineOf('vm');
    if (machine === undefined) throw new Error('The machine has ended');
    const guest = new SimulatedGuestAccess(machine);
    const edu = await guest.open({ vendorId: 0x1234, deviceId: 0x11e8 });
    expect(await edu.readBar(0, EDU.offsets.ID, 4)).toBe(0x0100_00ed);
    developer.kill('SIGSTOP');
    expect(await edu.readBar(0, EDU.offsets.ID, 4)).toBe(0xffff_ffff);
    expect(await edu.readConfig(0, 4)).toBe(0xffff_ffff);
    await expect.poll(() => log).toHaveLength(1);
    expect(log[0]).toMatch(/^device .* of system "vm" is gone: .*none came in time$/);
    expect(machine.bus.slots).toEqual([]);
  } finally {
    developer.kill('SIGKILL');
  }
});
