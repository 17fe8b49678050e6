import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crcWithZeros } from '../../src/engines/crc-of-zeros.ts';

test('zeros count as if they had been there', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.nat(100_000), (bytes, length) => {
      const crc = crc32(bytes);
      expect(crcWithZeros(crc, length)).toBe(crc32(Buffer.alloc(length), crc));
    }),
  );
});

test('as many zeros as no buffer has count as two halves of them', () => {
  const half = 5 * 2 ** 33 + 3;
  expect(crcWithZeros(7, 2 * half)).toBe(crcWithZeros(crcWithZeros(7, half), half));
});
