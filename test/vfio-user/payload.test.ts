import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeDmaMap,
  decodeDmaUnmap,
  decodeRegionAccess,
  decodeSetIrqs,
  encodeDmaMap,
  encodeDmaUnmap,
  encodeRegionAccess,
  encodeSetIrqs,
} from '../../src/vfio-user/payload.ts';
import { getUint64, putUint64 } from '../../src/vfio-user/wire.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u53 = fc.maxSafeNat();

/** Decodes from the middle of a larger buffer, as messages lie. */
function inside<T>(bytes: Uint8Array, decode: (view: DataView, at: number) => T): T {
  const memory = new Uint8Array(bytes.length + 7);
  memory.set(bytes, 5);
  return decode(new DataView(memory.buffer), 5);
}

test('64-bit numbers survive, to 2^53', () => {
  fc.assert(
    fc.property(u53, (value) => {
      const view = new DataView(new ArrayBuffer(9));
      putUint64(view, 1, value);
      expect(getUint64(view, 1)).toBe(value);
      expect(view.getBigUint64(1, true)).toBe(BigInt(value));
    }),
  );
});

test('DMA_MAP decodes to what was encoded', () => {
  const request = fc.record({ argsz: u32, flags: u32, offset: u53, address: u53, size: u53 });
  fc.assert(
    fc.property(request, (value) => {
      expect(inside(encodeDmaMap(value), decodeDmaMap)).toEqual(value);
    }),
  );
});

test('DMA_UNMAP decodes to what was encoded', () => {
  const request = fc.record({ argsz: u32, flags: u32, address: u53, size: u53 });
  fc.assert(
    fc.property(request, (value) => {
      expect(inside(encodeDmaUnmap(value), decodeDmaUnmap)).toEqual(value);
    }),
  );
});

test('SET_IRQS decodes to what was encoded, with its list behind', () => {
  const request = fc.record({ argsz: u32, flags: u32, index: u32, start: u32, count: u32 });
  fc.assert(
    fc.property(request, fc.uint8Array(), (value, bools) => {
      const bytes = encodeSetIrqs(value, bools);
      expect(inside(bytes, decodeSetIrqs)).toEqual(value);
      expect(bytes.subarray(20)).toEqual(bools);
    }),
  );
});

test('a region access decodes to what was encoded, with its data behind', () => {
  const request = fc.record({ offset: u53, region: u32, count: u32 });
  fc.assert(
    fc.property(request, fc.uint8Array(), (value, data) => {
      const bytes = encodeRegionAccess(value, data);
      expect(inside(bytes, decodeRegionAccess)).toEqual(value);
      expect(bytes.subarray(16)).toEqual(data);
    }),
  );
});
