import { expect, test } from 'vitest';
import { bit, bits } from '../../src/device/bit-field.ts';
import { gpa, u8, u16, u32, u64 } from '../../src/device/register.ts';
import { registerMap } from '../../src/device/register-map.ts';

const TIMER = registerMap({
  CONTROL: u32(0x0, { reset: 0x10, fields: { ENABLE: bit(0), MODE: bits(4, 2) } }),
  STATUS: u16(0x4, { access: 'w1c', writable: 0x3 }),
  VERSION: u8(0x6, { access: 'ro', reset: 7 }),
  COMPARE: u64(0x8, { fields: { VALID: bit(63), TICKS: bits(0, 40) } }),
  RING: gpa(0x10, { fields: { ON: bit(0), PAGE: bits(12, 40) } }),
  CHANNEL: u32(0x20, { count: 3, stride: 8 }),
});

test('says where each register is', () => {
  expect(TIMER.offsets).toEqual({
    CONTROL: 0,
    STATUS: 4,
    VERSION: 6,
    COMPARE: 8,
    RING: 0x10,
    CHANNEL: 0x20,
  });
  expect(TIMER.offset('CHANNEL', 2)).toBe(0x30);
  expect(() => TIMER.offset('CHANNEL', 3)).toThrow('Cannot find register CHANNEL[3]');
});

test('names the register at a byte, and no register in a hole', () => {
  expect([0, 3, 5, 6, 0xf, 0x28, 0x2b].map((offset) => TIMER.describe(offset))).toEqual([
    'CONTROL',
    'CONTROL',
    'STATUS',
    'VERSION',
    'COMPARE',
    'CHANNEL[1]',
    'CHANNEL[1]',
  ]);
  expect([7, 0x18, 0x24, 0x34, 0x1000, -1].map((offset) => TIMER.describe(offset))).toEqual(
    Array(6).fill(undefined),
  );
});

test('describes every row with its defaults', () => {
  const [control, status, version] = TIMER.registers;
  expect(control).toMatchObject({ name: 'CONTROL', width: 4, access: 'rw', reset: 0x10, count: 1 });
  expect(control?.writable).toBe(0xffff_ffff);
  expect(status).toMatchObject({ access: 'w1c', writable: 3, reset: 0 });
  expect(version).toMatchObject({ access: 'ro', writable: 0, reset: 7 });
  expect(TIMER.size).toBe(0x34);
});

test('takes fields out of values and puts them in', () => {
  const { ENABLE, MODE } = TIMER.fields.CONTROL;
  expect([ENABLE.mask, MODE.mask]).toEqual([1, 0x30]);
  expect(MODE.get(0xffff_ffef)).toBe(2);
  expect(MODE.set(0xffff_ffff, 1)).toBe(0xffff_ffdf);
  expect(ENABLE.set(0, 3)).toBe(1);
  const { VALID, TICKS } = TIMER.fields.COMPARE;
  expect(VALID.get(1n << 63n)).toBe(1n);
  expect(TICKS.set(-1n & ((1n << 64n) - 1n), 5n)).toBe(0xffff_ff00_0000_0005n);
});

test('takes fields of addresses beyond 32 bits without a bigint', () => {
  const { PAGE, ON } = TIMER.fields.RING;
  const address = 0x12_3456_789a_b001;
  expect(PAGE.get(address)).toBe((0x12_3456_789a_b000 / 4096) % 2 ** 40);
  expect(ON.get(address)).toBe(1);
  expect(ON.set(address, 0)).toBe(address - 1);
  expect(PAGE.set(1, 0xff)).toBe(0xf_f001);
});

test('refuses overlapping registers, naming both', () => {
  expect(() => registerMap({ A: u32(0), B: u32(0) })).toThrow(
    'Cannot place register B at 0x0: it overlaps A at 0x0',
  );
  expect(() => registerMap({ WIDE: u64(0), HIGH: u8(7) })).toThrow(/HIGH.*overlaps WIDE/);
  expect(() => registerMap({ ROW: u32(0, { count: 4 }), ONE: u16(0xe) })).toThrow(
    'Cannot place register ONE at 0xe: it overlaps ROW at 0xc',
  );
});

test('lets arrays interleave', () => {
  const pairs = registerMap({
    HEAD: u32(0, { count: 4, stride: 8 }),
    TAIL: u32(4, { count: 4, stride: 8 }),
  });
  expect(pairs.describe(0x14)).toBe('TAIL[2]');
});

test.each([
  ['a misaligned offset', () => registerMap({ A: u32(2) }), 'offset 2 is not a multiple of 4'],
  ['an odd offset', () => registerMap({ A: u16(1) }), 'offset 1 is not a multiple of 2'],
  ['a negative offset', () => registerMap({ A: u8(-1) }), 'offset -1'],
  [
    'a reset value that is too wide',
    () => registerMap({ A: u8(0, { reset: 256 }) }),
    'over 8 bits',
  ],
  ['a fraction', () => registerMap({ A: u8(0, { reset: 0.5 }) }), 'not an integer'],
  ['a stride that overlaps', () => registerMap({ A: u32(0, { count: 2, stride: 2 }) }), 'stride 2'],
  ['no elements', () => registerMap({ A: u32(0, { count: 0 }) }), 'count 0'],
  ['a field past the end', () => registerMap({ A: u8(0, { fields: { F: bits(6, 3) } }) }), 'bit 8'],
  ['an empty field', () => registerMap({ A: u8(0, { fields: { F: bits(6, 0) } }) }), 'field F'],
  ['a name that is taken', () => registerMap({ size: u8(0) }), 'Cannot name a register "size"'],
  ['a name that is no identifier', () => registerMap({ 'A B': u8(0) }), '"A B"'],
])('refuses %s', (_, make, message) => {
  expect(make).toThrow(message);
});

test('takes masks that JavaScript made negative', () => {
  const [register] = registerMap({
    A: u32(0, { writable: ~0x1, reset: 0x8000_0000 | 1 }),
  }).registers;
  expect(register).toMatchObject({ writable: 0xffff_fffe, reset: 0x8000_0001 });
});

test.each([
  ['a register that is not there', { NOPE: {} }, 'Cannot hook register NOPE'],
  ['writes of a read-only register', { VERSION: { write: () => {} } }, "'ro'"],
  ['writes of 64 bits', { COMPARE: { write: () => {} } }, 'two halves'],
  ['stores of w1c', { STATUS: { store: (value: number) => value } }, "'w1c'"],
])('refuses to hook %s', (_, hooks, message) => {
  expect(() => TIMER.bind(hooks as never)).toThrow(message);
});

test('refuses to hook reads that give 0', () => {
  const map = registerMap({ GO: u32(0, { access: 'wo' }) });
  expect(() => map.bind({ GO: { read: () => 1 } })).toThrow("'wo'");
});
