import type { GuestAllocation, GuestFunction } from 'hdvkit/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { BUFFER, Dma, EDU, Status, Vector } from '../../sample-devices/edu.ts';
import { openMachine, type TestHost, type TestMachine } from './conformance.ts';

const { DMA_COMMAND, DMA_COUNT, DMA_SOURCE, DMA_TARGET, FACTORIAL, ID, LIVENESS, STATUS } =
  EDU.offsets;

/** The edu device as a driver sees it, on any host: the file of the device is the same on all of them. */
export function describeEdu(name: string, openHost: () => Promise<TestHost>): void {
  describe(`edu on ${name}`, () => {
    let host: TestHost;
    let machine: TestMachine;
    let edu: GuestFunction;
    let memory: GuestAllocation;

    beforeAll(async () => {
      host = await openHost();
      machine = await openMachine(host, async (devices) => {
        const module = new URL('../../sample-devices/edu.ts', import.meta.url);
        await devices.attach(module, { export: 'EduDevice' });
      });
      edu = await machine.guest.open({ vendorId: 0x1234, deviceId: 0x11e8 });
      memory = await machine.guest.allocate(8192);
    });

    afterAll(async () => {
      await machine?.[Symbol.asyncDispose]();
      await host?.close();
    });

    beforeEach(async () => {
      await edu.enableInterrupts('msix', 2);
      await edu.takeInterrupts();
      await edu.writeBar(0, STATUS, 4, 0);
      await memory.write(0, Buffer.alloc(8192));
    });

    /** Starts a copy and waits until the device says that it is done. */
    async function copy(from: number, to: number, count: number, flags: number): Promise<void> {
      await edu.writeBar64(0, DMA_SOURCE, BigInt(from));
      await edu.writeBar64(0, DMA_TARGET, BigInt(to));
      await edu.writeBar(0, DMA_COUNT, 4, count);
      await edu.writeBar(0, DMA_COMMAND, 4, Dma.RUN | Dma.IRQ | flags);
      await edu.waitInterrupt(Vector.DMA);
      expect((await edu.readBar(0, DMA_COMMAND, 4)) & Dma.RUN).toBe(0);
    }

    test('says who it is', async () => {
      expect(edu.info.classCode).toBe(0x00ff00);
      expect(await edu.readBar(0, ID, 4)).toBe(0x0100_00ed);
    });

    test('gives back the inverse of what is written to LIVENESS', async () => {
      await edu.writeBar(0, LIVENESS, 4, 0x1234_5678);
      expect(await edu.readBar(0, LIVENESS, 4)).toBe(0xedcb_a987);
    });

    test('computes a factorial, and interrupts only when asked to', async () => {
      await edu.writeBar(0, FACTORIAL, 4, 5);
      expect(await edu.readBar(0, FACTORIAL, 4)).toBe(120);
      expect(await edu.takeInterrupts()).toEqual([]);
      await edu.writeBar(0, STATUS, 4, Status.IRQ_WHEN_DONE);
      await edu.writeBar(0, FACTORIAL, 4, 12);
      await edu.waitInterrupt(Vector.FACTORIAL);
      expect(await edu.readBar(0, FACTORIAL, 4)).toBe(479_001_600);
    });

    test('copies guest memory into its buffer and back to another place', async () => {
      await memory.write(100, Buffer.from('through the device and back'));
      await copy(memory.gpa + 100, BUFFER, 27, 0);
      await copy(BUFFER, memory.gpa + 5000, 27, Dma.TO_GUEST);
      expect((await memory.read(4999, 29)).toString()).toBe('\0through the device and back\0');
    });

    test('its buffer is memory that the driver reaches through the BAR', async () => {
      await edu.writeBar64(0, BUFFER + 8, 0n);
      await edu.writeBar(0, BUFFER + 10, 1, 0x41);
      await edu.writeBar64(0, BUFFER + 16, 0x4847_4645_4443_4241n);
      await copy(BUFFER + 16, memory.gpa, 8, Dma.TO_GUEST);
      expect((await memory.read(0, 8)).toString()).toBe('ABCDEFGH');
      expect(await edu.readBar(0, BUFFER + 8, 4)).toBe(0x0041_0000);
    });

    test('copies a whole page across a page boundary', async () => {
      const bytes = Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7) & 0xff));
      await memory.write(2048, bytes);
      await copy(memory.gpa + 2048, BUFFER, 4096, 0);
      await memory.write(0, Buffer.alloc(8192));
      await copy(BUFFER, memory.gpa + 4096, 4096, Dma.TO_GUEST);
      expect(await memory.read(4096, 4096)).toEqual(bytes);
    });

    test('a copy that leaves the buffer is the guest’s mistake: counted, nothing written', async () => {
      const [attachment] = machine.devices.list();
      const before = attachment?.guestErrors ?? 0;
      await copy(BUFFER + 4000, memory.gpa, 200, Dma.TO_GUEST);
      await copy(BUFFER - 8, memory.gpa, 8, Dma.TO_GUEST);
      expect(await memory.read(0, 200)).toEqual(Buffer.alloc(200));
      await expect.poll(() => attachment?.guestErrors, { timeout: 30_000 }).toBe(before + 2);
      expect(attachment?.failure).toBeUndefined();
    });
  });
}
