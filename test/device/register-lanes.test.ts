import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Width } from '../../src/device/mmio-region.ts';
import {
  type RegisterAccess,
  type RegisterSpec,
  u8,
  u16,
  u32,
  u64,
} from '../../src/device/register.ts';
import { registerMap } from '../../src/device/register-map.ts';

interface Row {
  readonly width: 1 | 2 | 4 | 8;
  readonly access: RegisterAccess;
  readonly reset: bigint;
  readonly writable: bigint;
  readonly gap: number;
}

const row = fc.record<Row>({
  width: fc.constantFrom(1, 2, 4, 8),
  access: fc.constantFrom('rw', 'ro', 'wo', 'w1c', 'w1s', 'rc'),
  reset: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  writable: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  gap: fc.integer({ min: 0, max: 5 }),
});

const access = fc.record({
  write: fc.boolean(),
  offset: fc.integer({ min: 0, max: 80 }),
  width: fc.constantFrom<Width>(1, 2, 4),
  value: fc.integer({ min: 0, max: 0xffff_ffff }),
});

/** Registers one after the other with gaps, and what each byte of them is. */
function build(rows: readonly Row[]) {
  const makers = { 1: u8, 2: u16, 4: u32, 8: u64 } as unknown as Record<
    number,
    (offset: number, options: object) => RegisterSpec
  >;
  const specs: Record<string, RegisterSpec> = {};
  const bytes: { access: RegisterAccess; value: number; writable: number }[] = [];
  let offset = 0;
  rows.forEach(({ width, access, gap, ...wide }, index) => {
    const alignment = Math.min(width, 4);
    offset = Math.ceil((offset + gap) / alignment) * alignment;
    const reset = BigInt.asUintN(width * 8, wide.reset);
    const writable = BigInt.asUintN(width * 8, wide.writable);
    const values =
      width === 8 ? { reset, writable } : { reset: Number(reset), writable: Number(writable) };
    specs[`R${index}`] = makers[width]!(offset, { access, ...values });
    for (let byte = 0; byte < width; byte++) {
      const shift = BigInt(byte * 8);
      bytes[offset + byte] = {
        access,
        value: Number((reset >> shift) & 0xffn),
        writable: Number((writable >> shift) & 0xffn),
      };
    }
    offset += width;
  });
  return { map: registerMap(specs), bytes };
}

test('treats every access as its bytes, whatever registers they are of', () => {
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 12 }), fc.array(access), (rows, list) => {
      const { map, bytes } = build(rows);
      const regs = map.bind();
      for (const { write, offset, width, value } of list) {
        let expected = 0n;
        for (let i = 0; i < width; i++) {
          const byte = bytes[offset + i];
          if (byte === undefined) continue;
          const lane = (value >>> (i * 8)) & 0xff;
          const bits = lane & byte.writable;
          if (!write) {
            if (byte.access !== 'wo') expected |= BigInt(byte.value) << BigInt(i * 8);
            if (byte.access === 'rc') byte.value = 0;
          } else if (byte.access === 'w1c') byte.value &= ~bits;
          else if (byte.access === 'w1s') byte.value |= bits;
          else if (byte.access === 'rw' || byte.access === 'wo') {
            byte.value = (byte.value & ~byte.writable) | bits;
          }
        }
        if (write) regs.write(offset, width, value);
        else expect(regs.read(offset, width)).toBe(Number(expected));
      }
    }),
    { numRuns: 300 },
  );
});

test('runs the write hook of each register that an access touches, once, with its merged value', () => {
  const narrow = fc.constantFrom(1, 2, 4) as fc.Arbitrary<1 | 2 | 4>;
  fc.assert(
    fc.property(
      fc.array(narrow, { minLength: 1, maxLength: 16 }),
      fc.array(access),
      (widths, list) => {
        const { map } = build(
          widths.map((width) => ({ width, access: 'rw', reset: 0n, writable: -1n, gap: 0 })),
        );
        const seen: [string, number][] = [];
        const names = map.registers.map(({ name }) => name);
        const hooks = names.map((name) => [
          name,
          { write: (v: number) => void seen.push([name, v]) },
        ]);
        const regs = map.bind(Object.fromEntries(hooks));
        const model = Buffer.alloc(map.size + 8);
        for (const { offset, width, value } of list) {
          seen.length = 0;
          regs.write(offset, width, value);
          if (offset < map.size)
            model.writeUIntLE(width === 4 ? value : value % 2 ** (width * 8), offset, width);
          const touched = map.registers.filter(
            (r) => r.offset < offset + width && r.offset + r.width > offset,
          );
          expect(seen).toEqual(touched.map((r) => [r.name, model.readUIntLE(r.offset, r.width)]));
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('saves and restores any contents', () => {
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 12 }), fc.array(access), (rows, list) => {
      const { map } = build(rows);
      const before = map.bind();
      for (const { offset, width, value } of list) before.write(offset, width, value);
      const after = map.bind();
      after.restore(JSON.parse(JSON.stringify(before.save())));
      for (let offset = 0; offset < map.size; offset += 4) {
        expect(after.read(offset, 4)).toBe(before.read(offset, 4));
      }
    }),
    { numRuns: 100 },
  );
});
