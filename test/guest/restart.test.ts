import { ComputeSystem, DeviceHost } from 'hdvkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NO_MESSAGE_TIMEOUT } from '../../src/engines/qemu/engine.ts';
import type { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import type { Attachment, DeviceNotice } from '../../src/index.ts';
import type { GuestAllocation, GuestFunction } from '../../src/testing/guest-access.ts';
import { LinuxGuestAccess } from '../../src/testing/linux-guest-access.ts';
import { RESTARTED } from '../host/restart-device.ts';
import { Trouble } from '../host/trouble-device.ts';
import { type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';
import { expectNoMore, heldResources } from './resources.ts';

const MODULE = new URL('../host/restart-device.ts', import.meta.url);
const RNG = new URL('../../devices/virtio-rng/index.ts', import.meta.url);
const { ID, WORD, TROUBLE, GPA, COPY, RAISE } = RESTARTED.offsets;
const ONES = 0xffff_ffff;
const ROUNDS = process.env.HDVKIT_LONG ? 200 : 50;

let host: LinuxTestHost;
let system: ComputeSystem;
let devices: DeviceHost;
let agent: GuestAgent;
let guest: LinuxGuestAccess;
let attachment: Attachment;
let rng: Attachment;
let fn: GuestFunction;
let memory: GuestAllocation;
const failures: Error[] = [];
let failed: ((error: Error) => void) | undefined;

function reported(notice: DeviceNotice): void {
  if (notice.type !== 'failed') return;
  if (failed === undefined) failures.push(notice.error);
  else failed(notice.error);
  failed = undefined;
}

function failure(): Promise<Error> {
  const known = failures.shift();
  if (known !== undefined) return Promise.resolve(known);
  return new Promise((resolve) => {
    failed = resolve;
  });
}

beforeAll(async () => {
  // QEMU waits for ever here: that a read returns is the supervisor's doing, and nobody else's.
  host = await openLinuxHost(
    { modules: ['virtio_pci', 'virtio-rng'] },
    { stallLimitMs: 2000, heapLimit: 48, engine: { messageTimeout: NO_MESSAGE_TIMEOUT } },
  );
  system = await ComputeSystem.create('hdvkit-restart', host.document(), {
    core: host.binding.computeCore,
  });
  devices = await DeviceHost.create(system, { binding: host.binding.hdv, report: reported });
  attachment = await devices.attach(MODULE);
  rng = await devices.attach(RNG);
  await system.start();
  agent = await host.agent();
  guest = new LinuxGuestAccess(agent);
  fn = await guest.open({ vendorId: 0x1af5, deviceId: 0x7002 });
  memory = await guest.allocate(8192);
  await fn.enableInterrupts('msix', 4);
});

afterAll(async () => {
  await devices?.[Symbol.asyncDispose]();
  await system?.[Symbol.asyncDispose]();
  await host?.close();
});

/** What a driver does: DMA both ways, and an interrupt. Sets nothing up. */
async function uses(vector = 2): Promise<void> {
  await memory.write(0, Buffer.from('the driver goes on'));
  await memory.write(4096, Buffer.alloc(32));
  await fn.writeBar64(0, GPA, BigInt(memory.gpa));
  await fn.writeBar(0, COPY, 4, memory.gpa + 4096);
  await fn.writeBar(0, RAISE, 4, vector);
  await fn.waitInterrupt(vector);
  expect((await memory.read(4096, 17)).toString()).toBe('the driver goes o');
}

describe('a device with MSI-X in a running guest', () => {
  test('is restarted while the guest waits for an answer of the dead one', async () => {
    await fn.writeBar(0, TROUBLE, 4, Trouble.LOOP);
    const open = fn.readBar(0, ID, 4);
    await failure();
    await devices.restart(attachment);
    expect(await open).toBe(ONES);
    await uses();
  });

  test(
    `leaves nothing behind after ${ROUNDS} restarts`,
    async () => {
      const restart = async (round: number): Promise<void> => {
        if (round % 2 === 0) {
          await fn.writeBar(0, TROUBLE, 4, Trouble.EXIT);
          await failure();
        }
        await devices.restart(attachment, { keepState: round % 4 === 1 });
        await uses();
      };
      await restart(0);
      await restart(1);
      const before = heldResources();
      for (let round = 0; round < ROUNDS; round++) await restart(round);
      await expectNoMore(before);
    },
    120_000 + ROUNDS * 10_000,
  );

  test('is found as after power-on when the guest boots again while it is dead', async () => {
    await fn.writeBar(0, TROUBLE, 4, Trouble.EXIT);
    await failure();
    const back = agent.restarted();
    agent.run('reboot -f').catch(() => undefined);
    await devices.restart(attachment);
    await back;
    guest = new LinuxGuestAccess(agent);
    fn = await guest.open({ vendorId: 0x1af5, deviceId: 0x7002 });
    memory = await guest.allocate(8192);
    expect(await fn.readBar(0, WORD, 4)).toBe(0);
    await fn.enableInterrupts('msix', 4);
    await uses();
  });
});

describe('a stock driver', () => {
  test('survives the replacement of its device, registers and queues kept', async () => {
    const draw = async (): Promise<string> => {
      const { stdout, exitCode } = await agent.run('head -c 4096 /dev/hwrng | base64');
      expect(exitCode).toBe(0);
      return stdout;
    };
    const before = await draw();
    for (let round = 0; round < 3; round++) {
      expect(await devices.restart(rng, { keepState: true })).toEqual({ kept: true });
      const after = await draw();
      expect(after).toHaveLength(before.length);
      expect(after).not.toBe(before);
    }
    const { stdout } = await agent.run('dmesg | grep -ci "virtio.*\\(fail\\|error\\)" || true');
    expect(stdout.trim()).toBe('0');
  });
});
