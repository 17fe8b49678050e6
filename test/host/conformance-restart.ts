import type { GuestAllocation, GuestFunction } from 'hdvkit/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Attachment, DeviceHost, DeviceNotice } from '../../src/index.ts';
import { openMachine, type TestHost, type TestMachine } from './conformance.ts';
import { RESTARTED } from './restart-device.ts';
import { Trouble } from './trouble-device.ts';

const MODULE = new URL('./restart-device.ts', import.meta.url);
const { ID, WORD, TROUBLE, GPA, COPY, RAISE, KEPT } = RESTARTED.offsets;
const ONES = 0xffff_ffff;

/** What becomes of a device on a worker that dies, or is replaced, under a running guest. */
export function describeRestart(name: string, openHost: () => Promise<TestHost>): void {
  describe(`restart on ${name}`, () => {
    let host: TestHost;
    let machine: TestMachine;
    let devices: DeviceHost;
    let attachment: Attachment;
    let fn: GuestFunction;
    let memory: GuestAllocation;
    const failures: Error[] = [];
    let failed: ((error: Error) => void) | undefined;

    const reported = (notice: DeviceNotice): void => {
      if (notice.type !== 'failed') return;
      if (failed === undefined) failures.push(notice.error);
      else failed(notice.error);
      failed = undefined;
    };

    const failure = (): Promise<Error> => {
      const known = failures.shift();
      if (known !== undefined) return Promise.resolve(known);
      return new Promise((resolve) => {
        failed = resolve;
      });
    };

    beforeAll(async () => {
      host = await openHost();
      const attach = async (to: DeviceHost): Promise<void> => {
        attachment = await to.attach(MODULE, { placement: 'worker' });
      };
      machine = await openMachine(host, attach, reported);
      devices = machine.devices;
      fn = await machine.guest.open({ vendorId: 0x1af5, deviceId: 0x7002 });
      memory = await machine.guest.allocate(8192);
      await fn.enableInterrupts('msix', 4);
    });

    afterAll(async () => {
      await machine?.[Symbol.asyncDispose]();
      await host?.close();
    });

    /** What a driver does: DMA both ways, and an interrupt. It sets nothing up. */
    const uses = async (vector = 2): Promise<void> => {
      await memory.write(0, Buffer.from('the driver goes on'));
      await memory.write(4096, Buffer.alloc(32));
      await fn.writeBar64(0, GPA, BigInt(memory.gpa));
      await fn.writeBar(0, COPY, 4, memory.gpa + 4096);
      await fn.writeBar(0, RAISE, 4, vector);
      await fn.waitInterrupt(vector);
      expect((await memory.read(4096, 17)).toString()).toBe('the driver goes o');
    };

    test.each([
      ['throws', Trouble.THROW],
      ['never returns', Trouble.LOOP],
      ['ends its thread', Trouble.EXIT],
      ['exhausts its heap', Trouble.FILL_HEAP],
      ['never returns from a DMA', Trouble.LOOP_IN_DMA],
    ])('a device that %s is restarted in place, and its driver goes on', async (_, trouble) => {
      await uses();
      await fn.writeBar(0, WORD, 4, 5);
      await fn.writeBar(0, TROUBLE, 4, trouble);
      expect((await failure()).name).toBe('DeviceFailedError');
      expect(attachment.failure).toBeDefined();
      expect(await fn.readBar(0, ID, 4)).toBe(ONES);
      expect(await devices.restart(attachment)).toEqual({ kept: false });
      expect(attachment.failure).toBeUndefined();
      expect(await fn.readBar(0, WORD, 4)).toBe(0);
      await uses();
      await uses(0);
    });

    test('a device that is alive is restarted likewise, twice when two ask at once', async () => {
      await fn.writeBar(0, WORD, 4, 5);
      await Promise.all([devices.restart(attachment), devices.restart(attachment)]);
      expect(await fn.readBar(0, WORD, 4)).toBe(0);
      await uses();
      expect(failures).toEqual([]);
    });

    test('a fresh device has the registers and the state of the old one, where that is asked for', async () => {
      await fn.writeBar(0, WORD, 4, 77);
      await fn.writeBar(0, KEPT, 4, 78);
      const { kept, reason } = await devices.restart(attachment, { keepState: true });
      expect(kept || reason !== undefined).toBe(true);
      expect(await fn.readBar(0, WORD, 4)).toBe(kept ? 77 : 0);
      expect(await fn.readBar(0, KEPT, 4)).toBe(kept ? 78 : 0);
      await uses();
    });

    test('one of a dead device has not, and that is said', async () => {
      await fn.writeBar(0, TROUBLE, 4, Trouble.EXIT);
      await failure();
      const result = await devices.restart(attachment, { keepState: true });
      expect(result).toEqual({ kept: false, reason: expect.any(String) });
      await uses();
    });
  });
}
