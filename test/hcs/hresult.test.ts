import { expect, test } from 'vitest';
import {
  describeHresult,
  formatHresult,
  HRESULT,
  hresultName,
  signedHresult,
} from '../../src/hcs/hresult.ts';

test('has a name for each value and a value for each name, once', () => {
  const values = Object.values(HRESULT);
  expect(new Set(values).size).toBe(values.length);
  for (const [name, value] of Object.entries(HRESULT)) {
    expect(hresultName(value)).toBe(name);
    expect(hresultName(value | 0)).toBe(name);
    expect(value).toBe(value >>> 0);
  }
});

test('counts the HCS_E codes from 0x80370100 to 0x80370121, without the two that have no name', () => {
  const values = Object.entries(HRESULT)
    .filter(([name]) => name.startsWith('HCS_E_'))
    .map(([, value]) => value);
  const expected = Array.from({ length: 0x22 }, (_, i) => 0x8037_0100 + i);
  expect(values).toEqual(expected.filter((value) => ![0x8037_0103, 0x8037_0104].includes(value)));
});

test('gives the two families of compute errors the same last byte for the same name', () => {
  for (const [name, value] of Object.entries(HRESULT)) {
    if (!name.startsWith('ERROR_VMCOMPUTE_') || name.endsWith('OPERATION_PENDING')) continue;
    const twin = `HCS_E_${name.slice('ERROR_VMCOMPUTE_'.length)}`;
    if (twin in HRESULT) expect(HRESULT[twin as keyof typeof HRESULT] & 0xff).toBe(value & 0xff);
  }
});

test('prints a value as eight hexadecimal digits', () => {
  expect(formatHresult(-2143878907)).toBe('0x80370105');
  expect(formatHresult(0)).toBe('0x00000000');
  expect(describeHresult(HRESULT.HCS_E_OPERATION_TIMEOUT)).toContain('goes on');
  expect(describeHresult(0x8888_8888)).toBe('0x88888888');
});

test('is signed in documents', () => {
  expect(signedHresult(0x8037_010d)).toBe(-2143878899);
});
