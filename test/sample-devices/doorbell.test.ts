import { fuzz, type GuestSnapshot, SimulatedVm } from 'hdvkit/testing';
import { expect, test } from 'vitest';
import {
  ADDER,
  DOORBELLS,
  DoorbellDevice,
  QUEUE_LENGTH,
  QUEUES,
} from '../../sample-devices/doorbell.ts';
import { FUZZ_ACCESSES, FUZZ_TIMEOUT } from '../fuzz-accesses.ts';

const { BASE, HEAD, SUM } = ADDER.offsets;

/** A driver that has given a page of memory to each queue. */
function plug(snapshot?: GuestSnapshot, vm = new SimulatedVm()) {
  const guest = vm.plug(new DoorbellDevice(), snapshot === undefined ? {} : { snapshot });
  const bar0 = guest.bar(0);
  const tails = new Array<number>(QUEUES).fill(0);
  const bases = tails.map(() => (snapshot === undefined ? vm.memory.allocate(4096) : 0));
  if (snapshot === undefined) {
    for (const [queue, base] of bases.entries()) bar0.write64(BASE + 8 * queue, base);
  }
  const put = (queue: number, ...numbers: number[]): void => {
    for (const number of numbers) {
      vm.memory.write32(bases[queue]! + 4 * (tails[queue]! % QUEUE_LENGTH), number);
      tails[queue]! += 1;
    }
  };
  const ring = (queue: number, tail = tails[queue]!): void =>
    bar0.write32(DOORBELLS + 4 * queue, tail);
  return { vm, guest, bar0, bases, put, ring };
}

test('reads zero everywhere after reset', () => {
  const bar0 = new SimulatedVm().plug(new DoorbellDevice()).bar(0);
  for (let queue = 0; queue < QUEUES; queue++) {
    expect(bar0.read64(BASE + 8 * queue)).toBe(0n);
    expect(bar0.read32(HEAD + 4 * queue)).toBe(0);
    expect(bar0.read32(SUM + 4 * queue)).toBe(0);
    expect(bar0.read32(DOORBELLS + 4 * queue)).toBe(0);
  }
});

test('adds up what was queued and raises the vector of the queue', () => {
  const { guest, bar0, put, ring } = plug();
  put(2, 10, 20, 30);
  ring(2);
  expect(guest.takeInterrupts()).toEqual([2]);
  expect(bar0.read32(SUM + 8)).toBe(60);
  expect(bar0.read32(HEAD + 8)).toBe(3);
});

test('does nothing before the doorbell rings, nor when it rings twice', () => {
  const { guest, bar0, put, ring } = plug();
  put(0, 1);
  expect(bar0.read32(SUM)).toBe(0);
  ring(0);
  ring(0);
  expect(guest.takeInterrupts()).toEqual([0]);
  expect(bar0.read32(SUM)).toBe(1);
});

test('goes round the end of the queue', () => {
  const { bar0, put, ring } = plug();
  put(1, ...new Array<number>(QUEUE_LENGTH).fill(1));
  ring(1);
  put(1, 5, 6);
  ring(1);
  expect(bar0.read32(SUM + 4)).toBe(QUEUE_LENGTH + 11);
});

test('adds modulo 2^32', () => {
  const { bar0, put, ring } = plug();
  put(0, 0xffff_ffff, 0xffff_ffff, 3);
  ring(0);
  expect(bar0.read32(SUM)).toBe(1);
});

test('keeps the interrupt of a masked vector until it is unmasked', () => {
  const { guest, put, ring } = plug();
  guest.interrupts.setMask(3, true);
  put(3, 1);
  ring(3);
  expect(guest.takeInterrupts()).toEqual([]);
  guest.interrupts.setMask(3, false);
  expect(guest.takeInterrupts()).toEqual([3]);
});

test('refuses a tail that is further away than the queue is long', () => {
  const { guest, bar0, ring } = plug();
  ring(0, QUEUE_LENGTH + 1);
  expect(guest.guestErrors).toEqual(['queue 0 cannot hold the 257 numbers between head and tail']);
  expect(bar0.read32(HEAD)).toBe(0);
});

test('takes a queue that ends with the memory, and none that goes on past it', () => {
  const { vm, guest, bar0, ring } = plug();
  bar0.write64(BASE, vm.memory.end - 4 * QUEUE_LENGTH);
  vm.memory.write32(vm.memory.end - 4 * QUEUE_LENGTH, 77);
  ring(0, 1);
  expect(bar0.read32(SUM)).toBe(77);
  bar0.write64(BASE, vm.memory.end - 4 * QUEUE_LENGTH + 4);
  ring(0, 2);
  expect(bar0.read32(HEAD)).toBe(1);
  expect(guest.guestErrors).toHaveLength(1);
});

test('takes nothing with bus mastering off', () => {
  const { guest, bar0, put, ring } = plug();
  put(0, 9);
  guest.setBusMastering(false);
  ring(0);
  expect(bar0.read32(SUM)).toBe(0);
  guest.setBusMastering(true);
  ring(0);
  expect(bar0.read32(SUM)).toBe(9);
});

test('has empty queues after a reset', () => {
  const { guest, bar0, put, ring } = plug();
  put(0, 9);
  ring(0);
  guest.reset('function');
  expect(bar0.read32(SUM)).toBe(0);
  expect(bar0.read64(BASE)).toBe(0n);
});

test('goes on where a snapshot left the queue', () => {
  const before = plug();
  before.put(1, 4, 5);
  before.ring(1, 1);
  const snapshot = before.guest.snapshot();
  before.vm.unplug(before.guest);
  const after = plug(snapshot, before.vm);
  after.ring(1, 2);
  expect(after.bar0.read32(SUM + 4)).toBe(9);
  expect(after.guest.takeInterrupts()).toEqual([1]);
});

test('survives a hostile guest', { timeout: FUZZ_TIMEOUT }, () => {
  fuzz(() => new DoorbellDevice(), { seed: 3, accesses: FUZZ_ACCESSES });
});
