import { expect, test } from 'vitest';
import { gpa, u8, u16, u32, u64 } from '../../src/device/register.ts';
import { registerMap } from '../../src/device/register-map.ts';

const MAP = registerMap({
  PLAIN: u32(0x00, { reset: 0x1234_5678 }),
  MASKED: u32(0x04, { writable: 0x00ff_0000, reset: 1 }),
  ID: u32(0x08, { access: 'ro', reset: 0xcafe }),
  GO: u32(0x0c, { access: 'wo' }),
  CAUSE: u32(0x10, { access: 'w1c', writable: 0xf }),
  SET: u32(0x14, { access: 'w1s', writable: 0xf }),
  LOG: u32(0x18, { access: 'rc' }),
  LOW: u8(0x1c),
  HIGH: u16(0x1e),
  WIDE: u64(0x20),
  RING: gpa(0x28),
  ROW: u32(0x40, { count: 4 }),
  SPARSE: u16(0x60, { count: 2, stride: 8 }),
  FAR: gpa(0x70, { count: 2, stride: 16 }),
});

test('keeps what a guest writes', () => {
  const regs = MAP.bind();
  expect(regs.read(0, 4)).toBe(0x1234_5678);
  regs.write(0, 4, 0xdead_beef);
  expect([regs.read(0, 4), regs.PLAIN]).toEqual([0xdead_beef, 0xdead_beef]);
});

test('reads and writes parts of a register', () => {
  const regs = MAP.bind();
  expect([regs.read(1, 1), regs.read(2, 2), regs.read(1, 2)]).toEqual([0x56, 0x1234, 0x3456]);
  regs.write(1, 1, 0xab);
  regs.write(2, 2, 0xcdef);
  expect(regs.PLAIN).toBe(0xcdef_ab78);
});

test('changes only writable bits', () => {
  const regs = MAP.bind();
  regs.write(4, 4, 0xffff_ffff);
  expect(regs.MASKED).toBe(0x00ff_0001);
});

test('ignores writes of read-only registers', () => {
  const regs = MAP.bind();
  regs.write(8, 4, 0);
  expect(regs.read(8, 4)).toBe(0xcafe);
});

test('gives 0 for write-only registers, which the device sees', () => {
  const regs = MAP.bind();
  regs.write(0xc, 4, 5);
  expect([regs.read(0xc, 4), regs.GO]).toEqual([0, 5]);
});

test('clears the ones that are written, in the lanes that are written', () => {
  const regs = MAP.bind();
  regs.CAUSE = 0x1f;
  regs.write(0x10, 1, 0x3);
  expect(regs.CAUSE).toBe(0x1c);
  regs.write(0x11, 1, 0xff);
  expect(regs.CAUSE).toBe(0x1c);
  regs.write(0x10, 4, 0xffff_ffff);
  expect(regs.CAUSE).toBe(0x10);
});

test('sets the ones that are written', () => {
  const regs = MAP.bind();
  regs.write(0x14, 4, 0x11);
  regs.write(0x14, 4, 0x02);
  expect(regs.SET).toBe(0x3);
});

test('clears only what a read saw', () => {
  const regs = MAP.bind();
  regs.LOG = 0x1122_3344;
  expect(regs.read(0x18, 1)).toBe(0x44);
  expect(regs.LOG).toBe(0x1122_3300);
  expect(regs.read(0x18, 4)).toBe(0x1122_3300);
  expect(regs.read(0x18, 4)).toBe(0);
});

test('reads 0 from holes and past the end, and drops writes there', () => {
  const regs = MAP.bind();
  regs.write(0x1c, 4, 0xffff_ffff);
  expect(regs.read(0x1c, 4)).toBe(0xffff_00ff);
  regs.write(0x30, 4, 1);
  expect(regs.read(0x30, 4)).toBe(0);
  expect([
    regs.read(MAP.size, 4),
    regs.read(MAP.size + 100, 1),
    regs.read(MAP.size - 2, 4),
  ]).toEqual([0, 0, 0]);
  expect(() => regs.write(MAP.size, 4, 1)).not.toThrow();
});

test('splits an access that straddles registers', () => {
  const regs = MAP.bind();
  regs.write(2, 4, 0xaabb_ccdd);
  expect(regs.PLAIN).toBe(0xccdd_5678);
  expect(regs.MASKED).toBe(1);
  expect(regs.read(2, 4)).toBe(0x1_ccdd);
});

test('holds 64 bits as a bigint and addresses as a number, written in halves', () => {
  const regs = MAP.bind();
  regs.write(0x20, 4, 0x89ab_cdef);
  regs.write(0x24, 4, 0x0123_4567);
  expect(regs.WIDE).toBe(0x0123_4567_89ab_cdefn);
  regs.WIDE = -1n;
  expect(regs.read(0x24, 4)).toBe(0xffff_ffff);
  regs.write(0x28, 4, 0xf000_0000);
  regs.write(0x2c, 4, 0x000f_ffff);
  expect(regs.RING).toBe(0x000f_ffff_f000_0000);
  regs.RING = 2 ** 40 + 5;
  expect([regs.read(0x28, 4), regs.read(0x2c, 4)]).toEqual([5, 256]);
});

test('gives arrays by index', () => {
  const regs = MAP.bind();
  regs.ROW[2] = 7;
  expect([regs.read(0x48, 4), regs.ROW[2], regs.ROW.length, regs.ROW[4]]).toEqual([
    7,
    7,
    4,
    undefined,
  ]);
  regs.write(0x68, 2, 0xffff);
  expect([regs.SPARSE[1], regs.SPARSE.length, regs.SPARSE[2]]).toEqual([0xffff, 2, undefined]);
  for (const array of [regs.ROW, regs.SPARSE]) array[4] = 1;
  expect([regs.ROW[4], regs.SPARSE[4], regs.SPARSE[-1]]).toEqual([undefined, undefined, undefined]);
  regs.FAR[1] = 2 ** 33;
  expect(regs.read(0x84, 4)).toBe(2);
  expect(regs.ROW).toBe(regs.ROW);
});

test('has arrays beside registers of any name', () => {
  const regs = registerMap({ array: u32(0), elements: u32(4, { count: 2, stride: 8 }) }).bind();
  regs.write(12, 4, 7);
  expect([regs.array, regs.elements[1]]).toEqual([0, 7]);
});

test('computes, stores and acts by hooks', () => {
  const seen: string[] = [];
  const regs = MAP.bind({
    PLAIN: {
      read: () => 0x0102_0304,
      store: (value) => ~value,
      write: (value) => void seen.push(`${value.toString(16)} kept ${regs.PLAIN.toString(16)}`),
    },
    HIGH: { write: (value) => void seen.push(`high ${value}`) },
    ROW: { write: (value, index) => void seen.push(`row ${index} ${value}`), read: (i) => i },
  });
  expect([regs.read(0, 4), regs.read(1, 1), regs.read(0x4c, 4)]).toEqual([0x0102_0304, 3, 3]);
  regs.write(0, 4, 0xf);
  regs.write(0x1c, 1, 1);
  regs.write(0x1e, 2, 2);
  regs.write(0x1c, 4, 0x0003_0000);
  regs.write(0x44, 4, 9);
  expect(seen).toEqual(['f kept fffffff0', 'high 2', 'high 3', 'row 1 9']);
});

test('runs a write hook once per access, with the lanes that were not written filled in', () => {
  const seen: number[] = [];
  const regs = MAP.bind({ PLAIN: { write: (value) => void seen.push(value) } });
  regs.write(1, 1, 0xff);
  regs.write(3, 4, 0x1122_3344);
  expect(seen).toEqual([0x1234_ff78, 0x4434_ff78]);
});

test('tells a hook of w1c which ones were written, before they are gone from the call', () => {
  const seen: number[] = [];
  const regs = MAP.bind({ CAUSE: { write: (value) => void seen.push(value, regs.CAUSE) } });
  regs.CAUSE = 0x7;
  regs.write(0x10, 4, 0xff5);
  expect(seen).toEqual([5, 2]);
});

test('lets a write hook change the register it is for', () => {
  const regs = MAP.bind({
    PLAIN: {
      write: (value) => {
        regs.PLAIN = value + 1;
      },
    },
  });
  regs.write(0, 4, 41);
  expect(regs.read(0, 4)).toBe(42);
});

test('computes 64 bits in halves', () => {
  const regs = MAP.bind({
    WIDE: { read: () => 0x1122_3344_5566_7788n },
    RING: { read: () => 0x1_0000_0002 },
  });
  expect([regs.read(0x20, 4), regs.read(0x24, 4)]).toEqual([0x5566_7788, 0x1122_3344]);
  expect([regs.read(0x28, 4), regs.read(0x2c, 4)]).toEqual([2, 1]);
});

test('refuses hooks that return promises, by name', () => {
  const late = async (): Promise<never> => {
    throw new Error('never seen');
  };
  const regs = MAP.bind({
    PLAIN: { read: late as never, write: late },
    MASKED: { store: late as never },
  });
  expect(() => regs.read(0, 4)).toThrow('Cannot wait for the read hook of PLAIN');
  expect(() => regs.write(0, 4, 1)).toThrow('Cannot wait for the write hook of PLAIN');
  expect(() => regs.write(4, 4, 1)).toThrow('Cannot wait for the store hook of MASKED');
});

test('refuses hooks that return nothing where a value is due', () => {
  const regs = MAP.bind({ PLAIN: { read: (() => {}) as never, store: (() => {}) as never } });
  expect(() => regs.read(0, 4)).toThrow('Cannot read PLAIN');
  expect(() => regs.write(0, 4, 1)).toThrow('Cannot store PLAIN');
});

test('resets without running hooks', () => {
  let writes = 0;
  const regs = MAP.bind({ PLAIN: { write: () => void writes++ } });
  regs.write(0, 4, 1);
  regs.ROW[0] = 5;
  regs.reset();
  expect([regs.PLAIN, regs.ROW[0], writes]).toEqual([0x1234_5678, 0, 1]);
});

test('comes back from JSON as it was', () => {
  const before = MAP.bind();
  before.WIDE = 0xffff_ffff_ffff_fffen;
  before.RING = 2 ** 52;
  before.ROW[3] = 9;
  before.CAUSE = 3;
  const after = MAP.bind();
  after.restore(JSON.parse(JSON.stringify(before.save())));
  expect(after.save()).toEqual(before.save());
  expect([after.WIDE, after.RING, after.ROW[3], after.CAUSE]).toEqual([
    0xffff_ffff_ffff_fffen,
    2 ** 52,
    9,
    3,
  ]);
});

test('starts registers that a snapshot does not know at their reset value', () => {
  const regs = MAP.bind();
  regs.PLAIN = 1;
  regs.restore({ MASKED: 5 });
  expect([regs.PLAIN, regs.MASKED]).toEqual([0x1234_5678, 5]);
});

test.each([
  ['no object', 7, 'not an object'],
  ['a register that is not there', { NOPE: 1 }, 'Cannot restore register NOPE'],
  ['too many elements', { ROW: [1, 2, 3, 4, 5] }, 'it has 4 elements, the snapshot 5'],
  ['one value for an array', { ROW: 1 }, 'the snapshot 1'],
  ['a value that is too wide', { LOW: 256 }, 'not a value of 8 bits'],
  ['text', { PLAIN: 'one' }, 'not a value of 32 bits'],
  ['a negative value', { PLAIN: -1 }, 'not a value of 32 bits'],
])('refuses a snapshot with %s, and changes nothing', (_, state, message) => {
  const regs = MAP.bind();
  regs.PLAIN = 1;
  expect(() => regs.restore(state)).toThrow(message);
  expect(regs.PLAIN).toBe(1);
});

test('keeps instances apart', () => {
  const [a, b] = [MAP.bind(), MAP.bind()];
  a.PLAIN = 1;
  a.ROW[0] = 1;
  expect([b.PLAIN, b.ROW[0]]).toEqual([0x1234_5678, 0]);
});
