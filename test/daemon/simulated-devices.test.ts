import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { BUFFER, Dma, EDU, Vector } from '../../sample-devices/edu.ts';
import { openService } from '../../src/daemon/connect-service.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { DeviceHost } from '../../src/hdv/device-host.ts';
import type { ProgramHost } from '../../src/hosts/program-host.ts';
import { serviceHost } from '../../src/hosts/service-host.ts';
import { builtPackage } from '../built-package.ts';
import { programCommand } from '../cli/run-cli.ts';
import { AGENT_PROGRAM, AgentAccess } from '../host/agent-access.ts';
import { describeHost, type TestHost } from '../host/conformance.ts';
import { LEVEL_DEVICE } from '../hosts/guest-programs/devices.ts';
import { endDaemon } from './end-daemon.ts';

const folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
const socket = join(folder, 'hcsd.sock');

let agents = 0;

/** A daemon of its own process has the machines; devices are in others. */
beforeAll(async () => {
  const [node = '', ...before] = programCommand('hcsd');
  const args = [...before, '--host', 'simulated', '--socket', socket, '--state', folder];
  const log = openSync(`${socket}.log`, 'w');
  const daemon = spawn(node, args, { stdio: ['ignore', 'pipe', log] });
  closeSync(log);
  const failed = once(daemon, 'exit').then(([code]) => {
    const said = readFileSync(`${socket}.log`, 'utf8');
    throw new Error(`The daemon has ended with ${code}: ${said}`);
  });
  failed.catch(() => undefined);
  await Promise.race([once(daemon.stdout!, 'data'), failed]);
});

function openHost(): TestHost & { readonly binding: ProgramHost } {
  const binding = serviceHost(openService({ socket }), 'simulated') as ProgramHost;
  return {
    binding,
    document: () => ({
      SchemaVersion: { Major: 2, Minor: 1 },
      Owner: 'hdvkit tests',
      VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 16 }, Processor: { Count: 1 } } },
    }),
    guestOf({ id }) {
      const path = join(folder, `agent${agents++}.sock`);
      return AgentAccess.connect(path, binding.run(id, AGENT_PROGRAM, { argument: path }));
    },
    close: () => binding.close(),
  };
}

afterAll(async () => {
  await endDaemon(socket);
  rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
});

describeHost('simulated behind hcsd', async () => openHost());

const built = builtPackage() !== undefined;
const url = (path: string): string => new URL(`../../${path}`, import.meta.url).href;

/** A program that gives devices to a machine of the daemon: an instance id for each. */
const DEVELOPER = `
  import { ComputeSystem, DeviceHost, useService } from '${url(built ? 'dist/src/index.js' : 'src/index.ts')}';
  await useService({ socket: '${socket}' });
  const [id, ...instances] = process.argv.slice(2);
  const system = await ComputeSystem.open(id);
  const devices = await DeviceHost.create(system);
  for (const instanceId of instances) {
    const module = new URL('${url('sample-devices/edu.ts')}');
    await devices.attach(module, { export: 'EduDevice', instanceId });
  }
  console.log('attached');
  setInterval(() => devices, 1000);`;

const developers: ChildProcess[] = [];

afterEach(() => {
  for (const developer of developers.splice(0)) developer.kill('SIGKILL');
});

async function startDeveloper(id: string, ...instances: readonly string[]): Promise<ChildProcess> {
  const program = join(folder, 'developer.mts');
  writeFileSync(program, DEVELOPER);
  const source = built ? [] : ['--conditions=hdvkit-source'];
  const args = ['--import', import.meta.resolve('tsx'), ...source, program, id, ...instances];
  const developer = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  developers.push(developer);
  const exited = once(developer, 'exit').then(([code]) => {
    throw new Error(`The developer's program has ended with ${code}`);
  });
  await Promise.race([once(developer.stdout!, 'data'), exited]);
  exited.catch(() => undefined);
  return developer;
}

async function kill(developer: ChildProcess): Promise<void> {
  developer.kill('SIGKILL');
  await once(developer, 'exit');
}

/** Id of `MsixProbe` of the conformance suite. */
const MSIX_PROBE = 0xc0f1;

const EDU_ID = { vendorId: 0x1234, deviceId: 0x11e8 };

test('devices whose process dies read as all ones, machines and other devices go on, and the entry is free', async () => {
  await using host = Object.assign(openHost(), {
    async [Symbol.asyncDispose]() {
      await host.close();
    },
  });
  const core = host.binding.computeCore;
  const ids = [randomUUID(), randomUUID()] as const;
  const instances = [randomUUID(), randomUUID()] as const;
  const systems = await Promise.all(
    ids.map((id) => ComputeSystem.create(id, host.document(), { core })),
  );
  const [first, second] = systems as [ComputeSystem, ComputeSystem];
  try {
    for (const system of systems) await system.start();
    const doomed = await startDeveloper(ids[0], ...instances);
    const other = await startDeveloper(ids[1], instances[0]);
    // One more in the same machine, of a process that stays.
    const devices = await DeviceHost.create(first, { binding: host.binding.hdv });
    const probes = new URL('../host/conformance-devices.ts', import.meta.url);
    await devices.attach(probes, { export: 'MsiProbe' });

    const guest = await host.guestOf(first);
    const edu = await guest.open(EDU_ID);
    const elsewhere = await (await host.guestOf(second)).open(EDU_ID);
    const probe = await guest.open({ vendorId: 0x1234, deviceId: 0xc0f2 });
    expect(await edu.readBar(0, EDU.offsets.ID, 4)).toBe(0x0100_00ed);
    // By its own timer, with memory of the guest and an interrupt.
    await edu.enableInterrupts('msix', 2);
    const memory = await guest.allocate(4096);
    await memory.write(0, Buffer.from('from guest to guest'));
    for (const [source, target, toGuest] of [
      [memory.gpa, BUFFER, 0],
      [BUFFER, memory.gpa + 2000, Dma.TO_GUEST],
    ] as const) {
      await edu.writeBar64(0, EDU.offsets.DMA_SOURCE, BigInt(source));
      await edu.writeBar64(0, EDU.offsets.DMA_TARGET, BigInt(target));
      await edu.writeBar(0, EDU.offsets.DMA_COUNT, 4, 19);
      await edu.writeBar(0, EDU.offsets.DMA_COMMAND, 4, Dma.RUN | Dma.IRQ | toGuest);
      await edu.waitInterrupt(Vector.DMA);
    }
    expect((await memory.read(2000, 19)).toString()).toBe('from guest to guest');

    await kill(doomed);
    expect(await edu.readBar(0, EDU.offsets.ID, 4)).toBe(0xffff_ffff);
    expect(await edu.readConfig(0, 4)).toBe(0xffff_ffff);
    expect(await probe.readConfig(0, 4)).toBe(0xc0f2_1234);
    expect(await elsewhere.readBar(0, EDU.offsets.ID, 4)).toBe(0x0100_00ed);
    expect(await first.properties()).toMatchObject({ State: 'Running' });

    // Its ids can be used again, once the machine has let go of it.
    const [instanceId] = instances;
    await first.modify({
      ResourcePath: `VirtualMachine/Devices/FlexibleIov/${instanceId}`,
      RequestType: 'Remove',
    });
    await startDeveloper(ids[0], instanceId);
    const again = await guest.open(EDU_ID);
    expect(await again.readBar(0, EDU.offsets.ID, 4)).toBe(0x0100_00ed);

    // A process that hangs keeps no machine from its end.
    other.kill('SIGSTOP');
    await second.terminate();
    expect(await elsewhere.readBar(0, EDU.offsets.ID, 4).catch(() => 'gone')).toBe('gone');
  } finally {
    for (const developer of developers) developer.kill('SIGKILL');
    for (const system of systems) {
      await system.terminate().catch(() => undefined);
      await system.close();
    }
  }
});

test('guest programs have processors, memory, messages and lines; what they throw is told', async () => {
  const host = openHost();
  const core = host.binding.computeCore;
  const id = randomUUID();
  const system = await ComputeSystem.create(id, host.document(), { core });
  try {
    await system.start();
    const devices = await DeviceHost.create(system, { binding: host.binding.hdv });
    const module = (path: string): URL => new URL(path, import.meta.url);
    await devices.attach(module('../hosts/guest-programs/devices.ts'), { export: 'LevelDevice' });
    await devices.attach(module('../host/conformance-devices.ts'), { export: 'MsixProbe' });
    const program = module('../hosts/guest-programs/programs.ts');
    const run = (name: string, argument?: unknown, processors = 1) =>
      host.binding.run(id, program, { export: name, argument, processors });
    expect(await run('line', LEVEL_DEVICE)).toEqual([[false, true, false]]);
    expect(await run('interrupts', MSIX_PROBE)).toEqual([[1, 3, 0, 2]]);
    const seen = '2 from a processor';
    expect(await run('dma', MSIX_PROBE, 2)).toEqual([seen, seen]);

    await expect(run('noSuchProgram')).rejects.toThrow(
      'its export noSuchProgram is not a function',
    );
    await expect(run('failing', null, 2)).rejects.toThrow('Cannot go on');
    await expect(run('failing', null, 99)).rejects.toMatchObject({ code: 'E_INVALIDARG' });
    const aborted = new AbortController();
    const endless = host.binding.run(id, program, {
      export: 'untilShutDown',
      signal: aborted.signal,
    });
    aborted.abort(new Error('enough'));
    await expect(endless).rejects.toThrow('enough');
    await expect(host.binding.run('another', program)).rejects.toMatchObject({
      code: 'ERROR_INVALID_HANDLE',
    });
    await expect(host.binding.run(id, new URL('https://example.com/'))).rejects.toThrow('no file');
  } finally {
    await system.terminate();
    await system.close();
    await host.close();
  }
});
