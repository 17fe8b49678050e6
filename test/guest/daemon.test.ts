import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { EDU } from '../../sample-devices/edu.ts';
import { connectService } from '../../src/daemon/connect-service.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { DEVICE_CLASS_ID } from '../../src/hdv/device-host.ts';
import { until } from '../cli/run-cli.ts';
import { codeOf, RecordedEndpoint } from '../compute/recording-engine.ts';
import { endDaemon } from '../daemon/end-daemon.ts';
import { describeHost } from '../host/conformance.ts';
import { lastingEngine } from './lasting-machines.ts';
import { openLinuxHost } from './linux-test-host.ts';

const folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
const socket = join(folder, 'hcsd.sock');
/** A daemon of its own process runs QEMU; devices are in others. It ends soon after its last client. */
const service = {
  socket,
  startOnDemand: { host: 'linux', idleExitMs: 500, stateFolder: folder },
} as const;

afterAll(async () => {
  await endDaemon(socket);
  // What a test that failed has left.
  await lastingEngine(join(folder, 'machines')).reap([]);
  rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
});

describeHost('linux behind hcsd', () => openLinuxHost({}, { service }));

const PATIENCE = { timeout: 60_000 };

const url = (path: string): string => new URL(`../../${path}`, import.meta.url).href;

/** A program that gives a device to a machine of the daemon. */
const DEVELOPER = `
  import { ComputeSystem, DeviceHost, useService } from '${url('src/index.ts')}';
  await useService({ socket: '${socket}' });
  const system = await ComputeSystem.open(process.argv[2]);
  const devices = await DeviceHost.create(system);
  const file = new URL('${url('sample-devices/edu.ts')}');
  const { instanceId } = await devices.attach(file, { export: 'EduDevice' });
  console.log(instanceId);
  setInterval(() => devices, 1000);`;

test('a device outlives the daemon, and reads as all ones when its process dies; its machine goes on', async () => {
  const host = await openLinuxHost({}, { service });
  const id = `hdvkit-${randomUUID()}`;
  const document = host.document() as Parameters<typeof ComputeSystem.create>[1];
  const core = host.binding.computeCore;
  const system = await ComputeSystem.create(id, document, { core });
  const program = join(folder, 'developer.mts');
  writeFileSync(program, DEVELOPER);
  const args = ['--import', import.meta.resolve('tsx'), '--conditions=hdvkit-source', program, id];
  let again: ComputeSystem | undefined;
  const developer = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const instanceId = (await until(developer.stdout, '\n')).trim();
    await system.start();
    const guest = await host.guestOf(system);
    const edu = await guest.open({ vendorId: 0x1234, deviceId: 0x11e8 });
    expect(await edu.readBar(0, EDU.offsets.ID, 4)).toBe(0x0100_00ed);
    const first = await connectService({ socket });
    const lost = expect(system.exited).rejects.toThrow('is lost');
    process.kill(first.service.pid, 'SIGKILL');
    await lost;
    await first.close();
    again = await ComputeSystem.open(id, { core });
    expect(await edu.readBar(0, EDU.offsets.ID, 4)).toBe(0x0100_00ed);
    // The next daemon has it in its directory, as long as its process lives.
    await using second = await connectService({ socket });
    expect(second.service.pid).not.toBe(first.service.pid);
    await ComputeSystem.open(id, { core: second.core });
    const key = { systemId: id, classId: DEVICE_CLASS_ID, instanceId };
    const announce = async (): Promise<string> =>
      await codeOf(async () => {
        const withdraw = await second.remote.register(key, new RecordedEndpoint());
        await withdraw();
      });
    await expect.poll(announce, PATIENCE).toBe('ERROR_ALREADY_EXISTS');
    developer.kill('SIGKILL');
    await once(developer, 'exit');
    expect(await edu.readBar(0, EDU.offsets.ID, 4)).toBe(0xffff_ffff);
    expect(await edu.readConfig(0, 4)).toBe(0xffff_ffff);
    await expect.poll(announce, PATIENCE).toBe('S_OK');
    expect(await again.properties()).toMatchObject({ State: 'Running' });
  } finally {
    developer.kill('SIGKILL');
    await (again ?? system).terminate().catch(() => undefined);
    await again?.close();
    await system.close();
    await host.close();
  }
});
