import { fuzz, type GuestSnapshot, SimulatedVm } from 'hdvkit/testing';
import { expect, test } from 'vitest';
import {
  Control,
  Descriptor,
  Flag,
  Limit,
  SCATTER_GATHER,
  ScatterGatherDevice,
  Status,
  Vector,
} from '../../sample-devices/scatter-gather.ts';
import { FUZZ_ACCESSES, FUZZ_TIMEOUT } from '../fuzz-accesses.ts';

const { CONTROL, STATUS, RING, COUNT, HEAD, TAIL } = SCATTER_GATHER.offsets;
const COUNT_USED = 32;

interface Piece {
  readonly source: number;
  readonly target: number;
  readonly length: number;
  readonly flags?: number;
}

/** A driver with a ring of 32 descriptors and a page to copy from and to. */
function plug(snapshot?: GuestSnapshot, vm = new SimulatedVm()) {
  const guest = vm.plug(new ScatterGatherDevice(), snapshot === undefined ? {} : { snapshot });
  const bar0 = guest.bar(0);
  const ring = vm.memory.allocate(COUNT_USED * Descriptor.SIZE);
  const source = vm.memory.allocate(4096);
  const target = vm.memory.allocate(4096);
  if (snapshot === undefined) {
    bar0.write64(RING, ring);
    bar0.write32(COUNT, COUNT_USED);
  }
  let tail = 0;
  const queue = (piece: Piece): void => {
    const bytes = Buffer.alloc(Descriptor.SIZE);
    bytes.writeBigUInt64LE(BigInt(piece.source), 0);
    bytes.writeBigUInt64LE(BigInt(piece.target), 8);
    bytes.writeUInt32LE(piece.length, 16);
    bytes.writeUInt32LE(piece.flags ?? 0, 20);
    vm.memory.write(ring + tail * Descriptor.SIZE, bytes);
    tail = (tail + 1) % COUNT_USED;
  };
  const run = (): void => {
    bar0.write32(TAIL, tail);
    bar0.write32(CONTROL, Control.RUN);
  };
  const flagsOf = (index: number): number => vm.memory.read32(ring + index * 32 + 20);
  return { vm, guest, bar0, ring, source, target, queue, run, flagsOf };
}

test('reads zero everywhere after reset', () => {
  const bar0 = new SimulatedVm().plug(new ScatterGatherDevice()).bar(0);
  for (const offset of [CONTROL, STATUS, RING, RING + 4, COUNT, HEAD, TAIL]) {
    expect(bar0.read32(offset)).toBe(0);
  }
});

test('gathers pieces in order and marks each descriptor done', () => {
  const { vm, guest, bar0, source, target, queue, run, flagsOf } = plug();
  vm.memory.write(source, 'world hello');
  queue({ source: source + 6, target, length: 5 });
  queue({ source: source + 5, target: target + 5, length: 1 });
  queue({ source, target: target + 6, length: 5, flags: Flag.INTERRUPT });
  run();
  expect(bar0.read32(STATUS)).toBe(Status.BUSY);
  vm.advance(1);
  expect(vm.memory.read(target, 11).toString()).toBe('hello world');
  expect([0, 1, 2].map(flagsOf)).toEqual([Flag.DONE, Flag.DONE, Flag.DONE | Flag.INTERRUPT]);
  expect(bar0.read32(HEAD)).toBe(3);
  expect(bar0.read32(STATUS)).toBe(0);
  expect(guest.takeInterrupts()).toEqual([Vector.DONE]);
});

test('sends no interrupt that no descriptor asks for', () => {
  const { vm, guest, source, target, queue, run } = plug();
  queue({ source, target, length: 8 });
  run();
  vm.advance(10);
  expect(guest.takeInterrupts()).toEqual([]);
});

test('keeps the interrupt of a masked vector until it is unmasked', () => {
  const { vm, guest, source, target, queue, run } = plug();
  guest.interrupts.setMask(Vector.DONE, true);
  queue({ source, target, length: 8, flags: Flag.INTERRUPT });
  run();
  vm.advance(1);
  expect(guest.takeInterrupts()).toEqual([]);
  guest.interrupts.setMask(Vector.DONE, false);
  expect(guest.takeInterrupts()).toEqual([Vector.DONE]);
});

test('goes round the end of the ring', () => {
  const { vm, bar0, source, target, queue, run } = plug();
  vm.memory.write(source, 'x');
  for (let i = 0; i < COUNT_USED - 1; i++) queue({ source, target, length: 1 });
  run();
  vm.advance(10);
  queue({ source, target, length: 1 });
  queue({ source, target: target + 9, length: 1 });
  run();
  vm.advance(10);
  expect(bar0.read32(HEAD)).toBe(1);
  expect(vm.memory.read(target + 9, 1).toString()).toBe('x');
});

test('copies a piece that ends with the memory, and stops at one that goes on past it', () => {
  const { vm, guest, bar0, target, queue, run, flagsOf } = plug();
  vm.memory.write(vm.memory.end - 4, 'edge');
  queue({ source: vm.memory.end - 4, target, length: 4 });
  queue({ source: vm.memory.end - 3, target: target + 4, length: 4 });
  queue({ source: target, target: target + 8, length: 4 });
  run();
  vm.advance(10);
  expect(vm.memory.read(target, 12).toString()).toBe('edge\0\0\0\0\0\0\0\0');
  expect([0, 1, 2].map(flagsOf)).toEqual([Flag.DONE, Flag.FAILED, 0]);
  expect(bar0.read32(STATUS)).toBe(Status.BAD_DESCRIPTOR);
  expect(bar0.read32(CONTROL)).toBe(0);
  expect(guest.takeInterrupts()).toEqual([Vector.ERROR]);
});

test.each([
  ['a source past 2^53', { source: 2 ** 60, target: 0x10_0000, length: 1 }],
  ['a piece that wraps around', { source: 0x10_0000, target: 2 ** 52, length: 16 }],
  ['a piece over the limit', { source: 0x10_0000, target: 0x12_0000, length: Limit.LENGTH + 1 }],
])('refuses %s', (_, piece) => {
  const { vm, bar0, queue, run, flagsOf } = plug();
  queue(piece);
  run();
  vm.advance(10);
  expect(flagsOf(0)).toBe(Flag.FAILED);
  expect(bar0.read32(STATUS)).toBe(Status.BAD_DESCRIPTOR);
});

test('goes on behind a bad descriptor once the error is cleared', () => {
  const { vm, bar0, source, target, queue, run, flagsOf } = plug();
  queue({ source: vm.memory.end, target, length: 1 });
  queue({ source, target, length: 1 });
  run();
  vm.advance(10);
  bar0.write32(STATUS, Status.BAD_DESCRIPTOR);
  expect(bar0.read32(STATUS)).toBe(0);
  run();
  vm.advance(10);
  expect(flagsOf(1)).toBe(Flag.DONE);
});

test.each([
  ['a tail outside the ring', TAIL, COUNT_USED],
  ['a ring that is too long', COUNT, Limit.COUNT + 1],
  ['a ring that is not memory', RING + 4, 0x7fff_ffff],
])('refuses %s', (_, offset, value) => {
  const { vm, guest, bar0, source, target, queue, run } = plug();
  queue({ source, target, length: 1 });
  run();
  bar0.write32(offset, value);
  vm.advance(10);
  expect(bar0.read32(STATUS)).toBe(Status.BAD_RING);
  expect(guest.takeInterrupts()).toEqual([Vector.ERROR]);
});

test('stops between slices when the guest clears RUN', () => {
  const { vm, bar0, source, target, queue, run } = plug();
  for (let i = 0; i < 20; i++) queue({ source, target, length: 1 });
  run();
  vm.advance(1);
  bar0.write32(CONTROL, 0);
  vm.advance(10);
  expect(bar0.read32(HEAD)).toBe(Limit.SLICE);
  expect(bar0.read32(STATUS)).toBe(0);
});

test('touches no memory after a reset in the middle of the ring', () => {
  const { vm, guest, bar0, source, target, queue, run, flagsOf } = plug();
  for (let i = 0; i < 20; i++) queue({ source, target, length: 1, flags: Flag.INTERRUPT });
  run();
  vm.advance(1);
  guest.takeInterrupts();
  guest.reset('function');
  guest.interrupts.enableBest();
  vm.advance(10);
  expect(bar0.read32(HEAD)).toBe(0);
  expect(flagsOf(Limit.SLICE)).toBe(Flag.INTERRUPT);
  expect(guest.takeInterrupts()).toEqual([]);
});

test('finishes a ring that a snapshot interrupted', () => {
  const before = plug();
  before.vm.memory.write(before.source, 'snapshot');
  for (let i = 0; i < 19; i++) {
    before.queue({ source: before.source, target: before.target, length: 8 });
  }
  const { source, target } = before;
  before.queue({ source, target: target + 8, length: 8, flags: Flag.INTERRUPT });
  before.run();
  before.vm.advance(1);
  const snapshot = before.guest.snapshot();
  before.vm.unplug(before.guest);

  const after = plug(snapshot, before.vm);
  after.vm.advance(2);
  expect(after.guest.takeInterrupts()).toEqual([Vector.DONE]);
  expect(after.vm.memory.read(target + 8, 8).toString()).toBe('snapshot');
});

test('survives a hostile guest', { timeout: FUZZ_TIMEOUT }, () => {
  fuzz(() => new ScatterGatherDevice(), { seed: 2, accesses: FUZZ_ACCESSES });
});
