import { expect, test } from 'vitest';
import { vsockPort, vsockServiceId } from '../../src/hcs/vsock-service-id.ts';

test('a vsock port is a service, and the service a port', () => {
  for (const port of [0, 5000, 0x4000_0000, 0x7fff_ffff]) {
    const id = vsockServiceId(port);
    expect(vsockPort(id)).toBe(port);
    expect(vsockPort(`{${id.toUpperCase()}}`)).toBe(port);
  }
  expect(vsockServiceId(5000)).toBe('00001388-facb-11e6-bd58-64006a7986d3');
});

test('nothing else is', () => {
  for (const port of [-1, 0x8000_0000, 1.5, Number.NaN]) {
    expect(() => vsockServiceId(port)).toThrow(RangeError);
  }
  for (const id of [
    '80000000-facb-11e6-bd58-64006a7986d3',
    '00001388-facb-11e6-bd58-64006a7986d4',
    '0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c01',
    'x00001388-facb-11e6-bd58-64006a7986d3',
    '',
  ]) {
    expect(vsockPort(id)).toBeUndefined();
  }
});
