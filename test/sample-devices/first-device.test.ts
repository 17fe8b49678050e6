import { fuzz, plug } from 'hdvkit/testing';
import { expect, test } from 'vitest';
import { FIRST, FirstDevice } from '../../sample-devices/first-device.ts';
import { FUZZ_ACCESSES, FUZZ_TIMEOUT } from '../fuzz-accesses.ts';

const { INVERTER } = FIRST.offsets;

test('reads zero after reset', () => {
  const bar = plug(new FirstDevice()).bar(0);
  expect(bar.read32(INVERTER)).toBe(0);
});

test('gives back what was written with every bit inverted', () => {
  const bar = plug(new FirstDevice()).bar(0);
  bar.write32(INVERTER, 0x1234_5678);
  expect(bar.read32(INVERTER)).toBe(0xedcb_a987);
});

test('reads all ones and takes no notice where there is no register', () => {
  const bar = plug(new FirstDevice()).bar(0);
  bar.write32(0x10, 1);
  expect(bar.read32(0x10)).toBe(0xffff_ffff);
  expect(bar.read32(INVERTER)).toBe(0);
});

test('has no interrupts to offer', () => {
  expect(plug(new FirstDevice()).interrupts.offered).toEqual({ mode: 'none', count: 0 });
});

test('forgets what was written at a reset', () => {
  const guest = plug(new FirstDevice());
  guest.bar(0).write32(INVERTER, 7);
  guest.reset('function');
  expect(guest.bar(0).read32(INVERTER)).toBe(0);
});

test('has the value of a snapshot in its place', () => {
  const before = plug(new FirstDevice());
  before.bar(0).write32(INVERTER, 7);
  const after = plug(new FirstDevice(), { snapshot: before.snapshot() });
  expect(after.bar(0).read32(INVERTER)).toBe(0xffff_fff8);
});

test('survives a hostile guest', { timeout: FUZZ_TIMEOUT }, () => {
  fuzz(() => new FirstDevice(), { seed: 1, accesses: FUZZ_ACCESSES });
});
