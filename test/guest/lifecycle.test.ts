import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NO_MESSAGE_TIMEOUT } from '../../src/engines/qemu/engine.ts';
import type { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import type { Attachment, DeviceNotice } from '../../src/index.ts';
import { ComputeSystem, DeviceHost } from '../../src/index.ts';
import type { GuestFunction } from '../../src/testing/guest-access.ts';
import { LinuxGuestAccess } from '../../src/testing/linux-guest-access.ts';
import { Command, MsiProbe, PROBE } from '../host/conformance-devices.ts';
import { TROUBLE, Trouble } from '../host/trouble-device.ts';
import { type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';
import { expectNoMore, heldResources } from './resources.ts';

const PROBES = new URL('../host/conformance-devices.ts', import.meta.url);
const HOT_PROBE = new URL('../host/hot-probe.ts', import.meta.url);
const TROUBLES = new URL('../host/trouble-device.ts', import.meta.url);
const ONES = 0xffff_ffff;
const CYCLES = process.env.HDVKIT_LONG ? 1000 : 20;

let host: LinuxTestHost;
let system: ComputeSystem;
let devices: DeviceHost;
let agent: GuestAgent;
let guest: LinuxGuestAccess;
let neighbour: GuestFunction;
const failures = new Map<Attachment, (error: Error) => void>();

function reported(notice: DeviceNotice): void {
  if (notice.type === 'failed') failures.get(notice.attachment)?.(notice.error);
}

function failureOf(attachment: Attachment): Promise<Error> {
  return new Promise((resolve) => failures.set(attachment, resolve));
}

beforeAll(async () => {
  // QEMU waits for ever here: that a read returns is the supervisor's doing, and nobody else's.
  const engine = { messageTimeout: NO_MESSAGE_TIMEOUT };
  host = await openLinuxHost({}, { stallLimitMs: 2000, heapLimit: 48, engine });
  system = await ComputeSystem.create('hdvkit-lifecycle', host.document(), {
    core: host.binding.computeCore,
  });
  devices = await DeviceHost.create(system, { binding: host.binding.hdv, report: reported });
  await devices.attach(PROBES, { export: 'MsixProbe' });
  await system.start();
  agent = await host.agent();
  guest = new LinuxGuestAccess(agent);
  neighbour = await guest.open({ vendorId: 0x1234, deviceId: 0xc0f1 });
});

afterAll(async () => {
  await devices?.[Symbol.asyncDispose]();
  await system?.[Symbol.asyncDispose]();
  await host?.close();
});

/** Waits for a hot-plugged function and takes hold of it. */
async function plugged(vendorId: number, deviceId: number): Promise<GuestFunction> {
  await agent.waitForFunction(vendorId, deviceId);
  return guest.open({ vendorId, deviceId });
}

async function raise(fn: GuestFunction, vector: number): Promise<void> {
  await fn.writeBar(0, PROBE.offsets.VECTOR, 4, vector);
  await fn.writeBar(0, PROBE.offsets.COMMAND, 4, Command.RAISE);
}

describe('a device that goes wrong in a running guest', () => {
  const { ID, SCRATCH, TROUBLE: CAUSE, TROUBLE_ON_READ } = TROUBLE.offsets;
  let attachment: Attachment;
  let fn: GuestFunction;

  beforeAll(async () => {
    attachment = await devices.attach(TROUBLES);
    fn = await plugged(0x1af5, 0x7001);
  });

  afterAll(() => devices.detach(attachment));

  test('may be slow: the guest waits and gets the true value', async () => {
    await fn.writeBar(0, TROUBLE_ON_READ, 4, Trouble.SLOW);
    expect(await fn.readBar(0, TROUBLE_ON_READ, 4)).toBe(0x510);
    await fn.writeBar(0, TROUBLE_ON_READ, 4, 0);
  });

  test.each([
    ['a read that never returns', Trouble.LOOP, /did not return from a read of 4 bytes/],
    ['a read that ends the thread', Trouble.EXIT, /process\.exit/],
    ['a read that exhausts the heap', Trouble.FILL_HEAP, /out of heap/],
    ['a hook that throws', Trouble.THROW, /thrown by a hook/],
  ])(
    '%s gives all ones in bounded time, and a restart brings the device back in its place',
    async (_what, trouble, reason) => {
      const failed = failureOf(attachment);
      await fn.writeBar(0, TROUBLE_ON_READ, 4, trouble);
      expect(await fn.readBar(0, TROUBLE_ON_READ, 4)).toBe(ONES);
      expect(((await failed).cause as Error).message).toMatch(reason);
      expect(attachment.failure?.name).toBe('DeviceFailedError');
      expect(await fn.readBar(0, ID, 4)).toBe(ONES);
      await fn.writeBar(0, SCRATCH, 4, 1);
      expect(await neighbour.readBar(0, PROBE.offsets.ID, 4)).toBe(0x0c0f_fee0);

      await devices.restart(attachment);
      expect(await fn.readBar(0, ID, 4)).toBe(0x7041_b1e0);
      await fn.writeBar(0, CAUSE, 4, 0);
    },
  );
});

describe('inline placement', () => {
  test('a device on the attaching thread is read, copies memory and interrupts', async () => {
    const device = new MsiProbe();
    const attachment = await devices.attach(device);
    const fn = await plugged(0x1234, 0xc0f2);
    await fn.writeBar(0, PROBE.offsets.WORD, 4, 0x1234_5678);
    expect(await fn.readBar(0, PROBE.offsets.WORD, 4)).toBe(0x1234_5678);
    expect(device.regs.WORD).toBe(0x1234_5678);

    const memory = await guest.allocate(8192);
    await memory.write(0, Buffer.from('inline'));
    await fn.writeBar64(0, PROBE.offsets.SOURCE, BigInt(memory.gpa));
    await fn.writeBar64(0, PROBE.offsets.TARGET, BigInt(memory.gpa + 4096));
    await fn.writeBar(0, PROBE.offsets.COUNT, 4, 6);
    await fn.writeBar(0, PROBE.offsets.COMMAND, 4, Command.COPY_BY_APERTURE);
    expect(await fn.readBar(0, PROBE.offsets.RESULT, 4)).toBe(1);
    expect((await memory.read(4096, 6)).toString()).toBe('inline');

    await fn.enableInterrupts('msi', 4);
    await raise(fn, 2);
    await fn.waitInterrupt(2);
    await fn.disableInterrupts();
    await devices.detach(attachment);
  });
});

describe('hot plug', () => {
  test(
    `${CYCLES} times added, used and removed, a device leaves nothing behind`,
    async () => {
      const cycle = async (): Promise<void> => {
        const attachment = await devices.attach(HOT_PROBE);
        const fn = await plugged(0x1234, 0xc0f4);
        await fn.enableInterrupts('msi', 1);
        await raise(fn, 0);
        await fn.waitInterrupt(0);
        await guest.close();
        await devices.detach(attachment);
      };
      await cycle();
      const before = heldResources();
      for (let i = 1; i < CYCLES; i++) await cycle();
      await expectNoMore(before);
      expect(await neighbour.readBar(0, PROBE.offsets.ID, 4)).toBe(0x0c0f_fee0);
    },
    600_000 + CYCLES * 5000,
  );
});

describe('reboot', () => {
  test('the guest reboots, and finds its devices as after power-on', async () => {
    await neighbour.enableInterrupts('msix', 2);
    await neighbour.writeBar(0, PROBE.offsets.WORD, 4, 0x5555_5555);
    const back = agent.restarted();
    agent.run('reboot -f').catch(() => undefined);
    await back;
    guest = new LinuxGuestAccess(agent);
    neighbour = await guest.open({ vendorId: 0x1234, deviceId: 0xc0f1 });
    expect(await neighbour.readBar(0, PROBE.offsets.WORD, 4)).toBe(0x1122_3344);
    await neighbour.enableInterrupts('msix', 4);
    for (const vector of [3, 0]) {
      await raise(neighbour, vector);
      await neighbour.waitInterrupt(vector);
    }
  });
});
