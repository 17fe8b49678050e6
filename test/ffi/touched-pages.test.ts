import { expect, test } from 'vitest';
import { touchedStretches } from '../../src/ffi/touched-pages.ts';

const MIB = 1024 * 1024;

test('what was touched is in a stretch, and little else where the system tells', () => {
  const length = 512 * MIB;
  const memory = new SharedArrayBuffer(length, { maxByteLength: length });
  const bytes = new Uint8Array(memory);
  const touched = [0, 5 * MIB + 17, 300 * MIB, length - 1];
  for (const offset of touched) bytes[offset] = 1;
  const stretches = touchedStretches(memory);
  for (const offset of touched) {
    expect(stretches.some(({ start, end }) => start <= offset && offset < end)).toBe(true);
  }
  let last = 0;
  for (const { start, end } of stretches) {
    expect(start).toBeGreaterThanOrEqual(last);
    expect(end).toBeGreaterThan(start);
    last = end;
  }
  expect(last).toBeLessThanOrEqual(length);
  // Huge pages have 2 MiB.
  const total = stretches.reduce((sum, { start, end }) => sum + end - start, 0);
  if (process.platform === 'linux') expect(total).toBeLessThanOrEqual(touched.length * 2 * MIB);
});
