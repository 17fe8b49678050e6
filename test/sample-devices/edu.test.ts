import { fuzz, type GuestSnapshot, SimulatedVm } from 'hdvkit/testing';
import { expect, test } from 'vitest';
import { BUFFER, Dma, EDU, EduDevice, Status, Vector } from '../../sample-devices/edu.ts';
import { FUZZ_ACCESSES, FUZZ_TIMEOUT } from '../fuzz-accesses.ts';

const { ID, LIVENESS, FACTORIAL, STATUS, DMA_SOURCE, DMA_TARGET, DMA_COUNT, DMA_COMMAND } =
  EDU.offsets;

/** Milliseconds that a copy takes. */
const COPY_MS = 100;

function plug(vm = new SimulatedVm(), options: { snapshot?: GuestSnapshot } = {}) {
  const guest = vm.plug(new EduDevice(), options);
  return { vm, guest, bar0: guest.bar(0) };
}

/** What a driver does: a page of its own, the addresses, the command. Returns the page. */
function startCopy({ vm, bar0 }: ReturnType<typeof plug>, text: string): number {
  const page = vm.memory.allocate(4096);
  vm.memory.write(page, text);
  copyToDevice({ bar0 }, page, text.length);
  return page;
}

function copyToDevice({ bar0 }: Pick<ReturnType<typeof plug>, 'bar0'>, gpa: number, count: number) {
  bar0.write64(DMA_SOURCE, gpa);
  bar0.write64(DMA_TARGET, BUFFER);
  bar0.write32(DMA_COUNT, count);
  bar0.write32(DMA_COMMAND, Dma.RUN | Dma.IRQ);
}

function copyToGuest({ bar0 }: Pick<ReturnType<typeof plug>, 'bar0'>, gpa: number, count: number) {
  bar0.write64(DMA_SOURCE, BUFFER);
  bar0.write64(DMA_TARGET, gpa);
  bar0.write32(DMA_COUNT, count);
  bar0.write32(DMA_COMMAND, Dma.RUN | Dma.TO_GUEST | Dma.IRQ);
}

function bytesAt(bar0: ReturnType<typeof plug>['bar0'], length: number): string {
  return Buffer.from(Array.from({ length }, (_, i) => bar0.read8(BUFFER + i))).toString();
}

test('reads its id, and zero elsewhere, after reset', () => {
  const { bar0 } = plug();
  expect(bar0.read32(ID)).toBe(0x0100_00ed);
  const others = [LIVENESS, FACTORIAL, STATUS, DMA_COUNT, DMA_COMMAND, BUFFER];
  for (const offset of others) expect(bar0.read32(offset)).toBe(0);
  expect(bar0.read64(DMA_SOURCE)).toBe(0n);
  expect(bar0.read64(DMA_TARGET)).toBe(0n);
});

test('is found by its ids and class', () => {
  const { guest } = plug();
  expect([guest.vendorId, guest.deviceId, guest.classCode]).toEqual([0x1234, 0x11e8, 0x00ff00]);
  expect(guest.bar(0).size).toBe(0x10_0000);
});

test('keeps its id when it is written', () => {
  const { bar0 } = plug();
  bar0.write32(ID, 0);
  expect(bar0.read32(ID)).toBe(0x0100_00ed);
});

test('inverts what is written to the liveness register', () => {
  const { bar0 } = plug();
  bar0.write32(LIVENESS, 0x00ff_00ff);
  expect(bar0.read32(LIVENESS)).toBe(0xff00_ff00);
});

test.each([
  [0, 1],
  [1, 1],
  [5, 120],
  [12, 479_001_600],
  [13, 1_932_053_504],
  [34, 0],
  [0xffff_ffff, 0],
])('computes the factorial of %i modulo 2^32', (n, result) => {
  const { bar0 } = plug();
  bar0.write32(FACTORIAL, n);
  expect(bar0.read32(FACTORIAL)).toBe(result);
});

test('raises the factorial vector once the result can be read', () => {
  const { guest, bar0 } = plug();
  bar0.write32(STATUS, Status.IRQ_WHEN_DONE);
  bar0.write32(FACTORIAL, 5);
  expect(bar0.read32(FACTORIAL)).toBe(120);
  expect(guest.takeInterrupts()).toEqual([Vector.FACTORIAL]);
});

test('raises nothing that was not asked for', () => {
  const { vm, guest, bar0 } = plug();
  bar0.write32(FACTORIAL, 5);
  bar0.write32(DMA_COMMAND, Dma.RUN);
  vm.advance(COPY_MS);
  expect(guest.takeInterrupts()).toEqual([]);
});

test.each(Object.entries(Vector))('keeps %s pending while its vector is masked', (_, vector) => {
  const plugged = plug();
  const { vm, guest, bar0 } = plugged;
  guest.interrupts.setMask(vector, true);
  bar0.write32(STATUS, Status.IRQ_WHEN_DONE);
  bar0.write32(FACTORIAL, 3);
  startCopy(plugged, 'x');
  vm.advance(COPY_MS);
  expect(guest.takeInterrupts()).not.toContain(vector);
  expect(guest.interrupts.isPending(vector)).toBe(true);
  guest.interrupts.setMask(vector, false);
  expect(guest.takeInterrupts()).toEqual([vector]);
});

test('copies from the guest into its buffer, and says so when it is done', () => {
  const plugged = plug();
  const { vm, guest, bar0 } = plugged;
  startCopy(plugged, 'hello');
  vm.advance(COPY_MS - 1);
  expect(bar0.read32(DMA_COMMAND) & Dma.RUN).toBe(Dma.RUN);
  vm.advance(1);
  expect(guest.takeInterrupts()).toEqual([Vector.DMA]);
  expect(bar0.read32(DMA_COMMAND) & Dma.RUN).toBe(0);
  expect(bytesAt(bar0, 5)).toBe('hello');
});

test('copies from its buffer to the guest', () => {
  const { vm, bar0 } = plug();
  const page = vm.memory.allocate(4096);
  for (const [i, byte] of Buffer.from('hi').entries()) bar0.write8(BUFFER + i, byte);
  copyToGuest({ bar0 }, page, 2);
  vm.advance(COPY_MS);
  expect(vm.memory.read(page, 4).toString()).toBe('hi\0\0');
});

test('copies from the last bytes of memory', () => {
  const { vm, bar0 } = plug();
  vm.memory.write(vm.memory.end - 4, 'edge');
  copyToDevice({ bar0 }, vm.memory.end - 4, 4);
  vm.advance(COPY_MS);
  expect(bytesAt(bar0, 4)).toBe('edge');
});

test.each([
  ['past the end of memory', (vm: SimulatedVm) => vm.memory.end - 2],
  ['where nothing is', () => 2 ** 45],
  ['past every address', () => 2 ** 53 - 1],
])('reads ones from %s, and completes', (_, where) => {
  const { vm, guest, bar0 } = plug();
  copyToDevice({ bar0 }, where(vm), 4);
  vm.advance(COPY_MS);
  expect(bar0.read32(BUFFER)).toBe(0xffff_ffff);
  expect(guest.takeInterrupts()).toEqual([Vector.DMA]);
  expect(guest.guestErrors).toHaveLength(1);
});

test('writes nothing where a copy to the guest would end past the memory', () => {
  const { vm, guest, bar0 } = plug();
  vm.memory.write(vm.memory.end - 2, 'ok');
  copyToGuest({ bar0 }, vm.memory.end - 2, 4);
  vm.advance(COPY_MS);
  expect(vm.memory.read(vm.memory.end - 2, 2).toString()).toBe('ok');
  expect(guest.guestErrors).toHaveLength(1);
});

test('reads ones with bus mastering off', () => {
  const plugged = plug();
  const { vm, guest, bar0 } = plugged;
  startCopy(plugged, 'data');
  guest.setBusMastering(false);
  vm.advance(COPY_MS);
  expect(bar0.read32(BUFFER)).toBe(0xffff_ffff);
});

test.each([
  ['starts before the buffer', BUFFER - 1, 4],
  ['ends past the buffer', BUFFER + 4093, 4],
  ['is longer than the buffer', BUFFER, 4097],
])('refuses a copy that %s, and completes', (_, target, count) => {
  const { vm, guest, bar0 } = plug();
  copyToDevice({ bar0 }, vm.memory.allocate(8192), count);
  bar0.write64(DMA_TARGET, target);
  vm.advance(COPY_MS);
  expect(guest.guestErrors).toHaveLength(1);
  expect(bar0.read32(DMA_COMMAND) & Dma.RUN).toBe(0);
});

test.each(['function', 'cold', 'disconnect'] as const)('forgets a copy at a %s reset', (kind) => {
  const plugged = plug();
  const { vm, guest, bar0 } = plugged;
  startCopy(plugged, 'hello');
  guest.reset(kind);
  guest.interrupts.enableBest();
  vm.advance(10 * COPY_MS);
  expect(guest.takeInterrupts()).toEqual([]);
  expect(bar0.read32(DMA_COMMAND)).toBe(0);
  expect(bar0.read32(BUFFER)).toBe(0);
});

test('finishes a copy that a snapshot interrupted', () => {
  const before = plug();
  startCopy(before, 'hello');
  const snapshot = before.guest.snapshot();
  before.vm.unplug(before.guest);

  const after = plug(before.vm, { snapshot });
  after.vm.advance(COPY_MS);
  expect(after.guest.takeInterrupts()).toEqual([Vector.DMA]);
  expect(bytesAt(after.bar0, 5)).toBe('hello');
});

test('stops a copy when it is unplugged', () => {
  const plugged = plug();
  const { vm, guest } = plugged;
  startCopy(plugged, 'hello');
  vm.unplug(guest);
  expect(() => vm.advance(10 * COPY_MS)).not.toThrow();
});

test('survives a hostile guest', { timeout: FUZZ_TIMEOUT }, () => {
  fuzz(() => new EduDevice(), { seed: 7, accesses: FUZZ_ACCESSES });
});
