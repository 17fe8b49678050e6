import { fuzz, type Guest, type GuestSnapshot, SimulatedVm } from 'hdvkit/testing';
import { expect, test } from 'vitest';
import {
  ANSWER_MS,
  MAILBOX,
  MailboxDevice,
  Request,
  Status,
} from '../../sample-devices/mailbox.ts';
import { FUZZ_ACCESSES, FUZZ_TIMEOUT } from '../fuzz-accesses.ts';

const { ARGUMENT, REQUEST, STATUS, INTERRUPT_MASK, ANSWER } = MAILBOX.offsets;
const ANY = Status.ANSWERED | Status.REFUSED;

function plug(snapshot?: GuestSnapshot) {
  const vm = new SimulatedVm();
  const guest = vm.plug(new MailboxDevice(), snapshot === undefined ? {} : { snapshot });
  return { vm, guest, bar0: guest.bar(0) };
}

function ask({ guest }: { guest: Guest }, request: number, ...words: number[]): void {
  const bar0 = guest.bar(0);
  bar0.write32(INTERRUPT_MASK, ANY);
  for (const [i, word] of words.entries()) bar0.write32(ARGUMENT + 4 * i, word);
  bar0.write32(REQUEST, request);
}

test('reads zero everywhere after reset', () => {
  const { bar0 } = plug();
  for (const offset of [ARGUMENT, ARGUMENT + 12, REQUEST, STATUS, INTERRUPT_MASK, ANSWER]) {
    expect(bar0.read32(offset)).toBe(0);
  }
});

test('is busy until it answers, then interrupts', () => {
  const { vm, guest, bar0 } = plug();
  ask({ guest }, Request.ECHO, 1, 2, 3, 4);
  expect(bar0.read32(STATUS)).toBe(Status.BUSY);
  vm.advance(ANSWER_MS - 1);
  expect(guest.takeInterrupts()).toEqual([]);
  vm.advance(1);
  expect(guest.takeInterrupts()).toEqual([0]);
  expect(bar0.read32(STATUS)).toBe(Status.ANSWERED);
  expect([0, 4, 8, 12].map((offset) => bar0.read32(ANSWER + offset))).toEqual([1, 2, 3, 4]);
});

test('adds words modulo 2^32', () => {
  const { vm, guest, bar0 } = plug();
  ask({ guest }, Request.SUM, 0xffff_ffff, 1, 5, 6);
  vm.advance(ANSWER_MS);
  expect(bar0.read32(ANSWER)).toBe(11);
});

test('refuses a request that it does not know', () => {
  const { vm, guest, bar0 } = plug();
  ask({ guest }, 99);
  vm.advance(ANSWER_MS);
  expect(guest.takeInterrupts()).toEqual([0]);
  expect(bar0.read32(STATUS)).toBe(Status.REFUSED);
  expect(guest.guestErrors).toEqual(['there is no request 99']);
});

test('sends no interrupt for a cause that the mask holds back, until the mask lets it through', () => {
  const { vm, guest, bar0 } = plug();
  bar0.write32(REQUEST, Request.SERIAL_NUMBER);
  vm.advance(ANSWER_MS);
  expect(guest.takeInterrupts()).toEqual([]);
  bar0.write32(INTERRUPT_MASK, Status.ANSWERED);
  expect(guest.takeInterrupts()).toEqual([0]);
});

test('sends no interrupt again after the cause was acknowledged', () => {
  const { vm, guest, bar0 } = plug();
  ask({ guest }, Request.SERIAL_NUMBER);
  vm.advance(ANSWER_MS);
  expect(guest.takeInterrupts()).toEqual([0]);
  bar0.write32(STATUS, Status.ANSWERED);
  expect(bar0.read32(STATUS)).toBe(0);
  bar0.write32(INTERRUPT_MASK, ANY);
  expect(guest.takeInterrupts()).toEqual([]);
});

test('keeps the interrupt of a masked vector until it is unmasked', () => {
  const { vm, guest } = plug();
  guest.interrupts.setMask(0, true);
  ask({ guest }, Request.SERIAL_NUMBER);
  vm.advance(ANSWER_MS);
  expect(guest.takeInterrupts()).toEqual([]);
  expect(guest.interrupts.isPending(0)).toBe(true);
  guest.interrupts.setMask(0, false);
  expect(guest.takeInterrupts()).toEqual([0]);
});

test('holds against the guest a request that comes while it is busy', () => {
  const { vm, guest, bar0 } = plug();
  ask({ guest }, Request.SUM, 1, 2, 3, 4);
  bar0.write32(REQUEST, Request.SUM);
  expect(guest.guestErrors).toHaveLength(1);
  vm.advance(10 * ANSWER_MS);
  expect(guest.takeInterrupts()).toEqual([0]);
});

test('forgets an open request at a reset', () => {
  const { vm, guest, bar0 } = plug();
  ask({ guest }, Request.ECHO, 1);
  guest.reset('function');
  guest.interrupts.enableBest();
  vm.advance(10 * ANSWER_MS);
  expect(guest.takeInterrupts()).toEqual([]);
  expect(bar0.read32(STATUS)).toBe(0);
});

test('answers a request that a snapshot interrupted', () => {
  const before = plug();
  ask(before, Request.SUM, 1, 2, 3, 4);
  const after = plug(before.guest.snapshot());
  after.vm.advance(ANSWER_MS);
  expect(after.guest.takeInterrupts()).toEqual([0]);
  expect(after.bar0.read32(ANSWER)).toBe(10);
});

test('survives a hostile guest', { timeout: FUZZ_TIMEOUT }, () => {
  fuzz(() => new MailboxDevice(), { seed: 4, accesses: FUZZ_ACCESSES });
});
