import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { EDU } from '../../sample-devices/edu.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { describeHost } from '../host/conformance.ts';
import { openLinuxHost } from './linux-test-host.ts';

const folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
const socket = join(folder, 'hcsd.sock');
/** A daemon of its own process runs QEMU; devices are in others. It ends soon after its last client. */
const service = {
  socket,
  startOnDemand: { host: 'linux', idleExitMs: 500, stateFolder: folder },
} as const;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describeHost('linux behind hcsd', () => openLinuxHost({}, { service }));

const url = (path: string): string => new URL(`../../${path}`, import.meta.url).href;

/** A program that gives a device to a machine of the daemon. */
const DEVELOPER = `
  import { ComputeSystem, DeviceHost, useService } from '${url('src/index.ts')}';
  await useService({ socket: '${socket}' });
  const system = await ComputeSystem.open(process.argv[2]);
  const devices = await DeviceHost.create(system);
  await devices.attach(new URL('${url('sample-devices/edu.ts')}'), { export: 'EduDevice' });
  console.log('attached');
  setInterval(() => devices, 1000);`;

test('a device whose process dies reads as all ones, and its machine goes on', async () => {
  const host = await openLinuxHost({}, { service });
  const id = `hdvkit-${randomUUID()}`;
  const document = host.document() as Parameters<typeof ComputeSystem.create>[1];
  const core = host.binding.computeCore;
  const system = await ComputeSystem.create(id, document, { core });
  const program = join(folder, 'developer.mts');
  writeFileSync(program, DEVELOPER);
  const args = ['--import', import.meta.resolve('tsx'), '--conditions=hdvkit-source', program, id];
  const developer = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(developer.stdout, 'data');
    await system.start();
    const guest = await host.guestOf(system);
    const edu = await guest.open({ vendorId: 0x1234, deviceId: 0x11e8 });
    expect(await edu.readBar(0, EDU.offsets.ID, 4)).toBe(0x0100_00ed);
    developer.kill('SIGKILL');
    await once(developer, 'exit');
    expect(await edu.readBar(0, EDU.offsets.ID, 4)).toBe(0xffff_ffff);
    expect(await edu.readConfig(0, 4)).toBe(0xffff_ffff);
    expect(await system.properties()).toMatchObject({ State: 'Running' });
  } finally {
    developer.kill('SIGKILL');
    await system.terminate().catch(() => undefined);
    await system.close();
    await host.close();
  }
});
