import { expect, test } from 'vitest';
import { guidBytes, guidText } from '../../src/ffi/guid.ts';

const TEXT = '872270e1-a899-4af6-b454-7193634435ad';

test('a GUID lies in memory with its first three parts little-endian', () => {
  expect(Buffer.from(guidBytes(TEXT)).toString('hex')).toBe('e170228799a8f64ab4547193634435ad');
});

test('braces and capitals are taken, and not given back', () => {
  expect(guidText(guidBytes(`{${TEXT.toUpperCase()}}`))).toBe(TEXT);
});

test('bytes are read where they lie in a larger buffer', () => {
  const larger = new Uint8Array(40);
  larger.set(guidBytes(TEXT), 3);
  expect(guidText(larger.subarray(3, 19))).toBe(TEXT);
});

test.each(['', 'x', TEXT.slice(1), `${TEXT}0`, TEXT.replaceAll('-', '')])(
  '%j is no GUID',
  (text) => {
    expect(() => guidBytes(text)).toThrow(TypeError);
  },
);
