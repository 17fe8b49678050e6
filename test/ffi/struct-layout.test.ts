import { describe, expect, test } from 'vitest';
import type { LibraryAbi } from '../../src/ffi/abi.ts';
import { koffi } from '../../src/ffi/native-config.ts';
import { fieldOf, readStruct, structBytes, structLayout } from '../../src/ffi/struct-layout.ts';
import { COMPUTE_CORE_ABI } from '../../src/hcs/native/compute-core-abi.ts';
import { VM_DEVICE_HOST_ABI } from '../../src/hdv/native/vm-device-host-abi.ts';

const offsets = (abi: LibraryAbi, name: string): [number, ...number[]] => {
  const layout = structLayout(abi, name);
  return [layout.size, ...layout.fields.map(({ offset }) => offset)];
};

describe('structs lie in memory as the references say', () => {
  test.each([
    ['HCS_EVENT', [24, 0, 8, 16]],
    ['HCS_PROCESS_INFORMATION', [32, 0, 4, 8, 16, 24]],
    ['HCS_CREATE_OPTIONS_1', [48, 0, 8, 16, 24, 32, 40]],
    ['GUID', [16, 0, 4, 6, 8]],
  ] as const)('%s', (name, expected) => {
    expect(offsets(COMPUTE_CORE_ABI, name)).toEqual(expected);
  });

  test.each([
    ['HDV_PCI_PNP_ID', [12, 0, 2, 4, 5, 6, 7, 8, 10]],
    ['HDV_PCI_DEVICE_INTERFACE', [88, 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80]],
  ] as const)('%s', (name, expected) => {
    expect(offsets(VM_DEVICE_HOST_ABI, name)).toEqual(expected);
  });

  test('HDV_PCI_PNP_ID is aligned to 2 bytes', () => {
    expect(structLayout(VM_DEVICE_HOST_ABI, 'HDV_PCI_PNP_ID').alignment).toBe(2);
  });
});

describe('a layout', () => {
  const abi = {
    file: 'odd.dll',
    handles: ['ODD'],
    enums: { SIGN: { Minus: -1 } },
    structs: {
      INNER: [
        ['UINT8[3]', 'bytes'],
        ['UINT16', 'word'],
      ],
      OUTER: [
        ['UINT8', 'first'],
        ['INNER', 'inner'],
        ['SIGN', 'sign'],
        ['ODD', 'handle'],
        ['BYTE', 'last'],
      ],
    },
    callbacks: {},
    functions: {},
    unbound: {},
  } as const satisfies LibraryAbi;

  test('nests, pads and aligns as koffi does', () => {
    const inner = koffi.struct({ bytes: koffi.array('uint8_t', 3), word: 'uint16_t' });
    const outer = koffi.struct({
      first: 'uint8_t',
      inner,
      sign: 'int32_t',
      handle: 'void *',
      last: 'uint8_t',
    });
    const fields = Object.keys(outer.members ?? {});
    const theirs = [koffi.sizeof(outer), ...fields.map((name) => koffi.offsetof(outer, name))];
    expect(offsets(abi, 'OUTER')).toEqual(theirs);
  });

  test('is written and read back, with bigint for what no number holds', () => {
    const layout = structLayout(COMPUTE_CORE_ABI, 'HCS_EVENT');
    const bytes = structBytes(layout, { Type: 0xc000_0001, Operation: 0xfedc_ba98_7654_3210n });
    expect(bytes).toHaveLength(24);
    expect(readStruct(layout, new DataView(bytes.buffer))).toEqual({
      Type: 0xc000_0001,
      EventData: 0,
      Operation: 0xfedc_ba98_7654_3210n,
    });
  });

  test('reads enums with negative values as signed', () => {
    const bytes = new DataView(new ArrayBuffer(64));
    const layout = structLayout({ ...abi, structs: { S: [['SIGN', 'sign']] } }, 'S');
    bytes.setInt32(8, -1, true);
    expect(readStruct(layout, bytes, 8)).toEqual({ sign: -1 });
  });

  test('names what it does not know', () => {
    const unknown = { ...abi, structs: { S: [['NOWHERE', 'x']] } } as LibraryAbi;
    expect(() => structLayout(unknown, 'S')).toThrow('Cannot use C type NOWHERE');
    expect(() => structLayout(abi, 'SIGN')).toThrow('it is no struct');
    expect(() => fieldOf(structLayout(abi, 'INNER'), 'nope')).toThrow('Cannot find field nope');
  });
});
