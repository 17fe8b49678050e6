import koffi from 'koffi';
import { afterEach, expect, test } from 'vitest';
import { detach, RetiredMemory } from '../../../src/hdv/native/retired-memory.ts';

const kept: Buffer[] = [];

/** Foreign memory as an ArrayBuffer, as an aperture shows it. */
function foreign(size: number): { memory: Buffer; bytes: ArrayBuffer; address: number } {
  const memory = Buffer.alloc(size, 0x77);
  kept.push(memory);
  const address = Number(koffi.address(memory));
  return { memory, bytes: koffi.view(BigInt(address), size), address };
}

afterEach(() => {
  kept.length = 0;
});

test('a buffer of foreign memory is detached without being read, with all its views', () => {
  const { memory, bytes } = foreign(4096);
  const [view, buffer] = [new DataView(bytes), Buffer.from(bytes, 8, 16)];
  detach(bytes);
  expect(bytes.byteLength).toBe(0);
  expect(buffer.length).toBe(0);
  expect(buffer[0]).toBeUndefined();
  expect(() => buffer.readUInt8(0)).toThrow(RangeError);
  expect(() => view.getUint8(0)).toThrow(TypeError);
  buffer[0] = 1;
  expect(memory.every((byte) => byte === 0x77)).toBe(true);
});

test('zero pages take the place of the mapping, or the bytes are taken away', () => {
  const asked: unknown[][] = [];
  let answer: bigint | null = null;
  const system = {
    VirtualAlloc: (...parameters: unknown[]) => {
      asked.push(parameters);
      return answer;
    },
    VirtualFree: () => 1,
  };
  const retired = new RetiredMemory(system as never);
  const taken = foreign(4096);
  expect(retired.retire(taken.address, taken.bytes)).toBe(false);
  expect(taken.bytes.byteLength).toBe(0);
  const replaced = foreign(8192);
  answer = BigInt(replaced.address);
  expect(retired.retire(replaced.address, replaced.bytes)).toBe(true);
  expect(replaced.bytes.byteLength).toBe(8192);
  expect(asked).toEqual([
    [taken.address, 4096, 0x3000, 4],
    [replaced.address, 8192, 0x3000, 4],
  ]);
});
