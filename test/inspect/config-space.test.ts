import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeConfigSpace } from '../../src/inspect/config-space.ts';
import { comparable } from './comparable.ts';
import { canCompare, lspci, parseLspci } from './lspci.ts';

/** A space with one capability of every kind that is decoded, in both chains. */
function everyCapability(): Buffer {
  const bytes = Buffer.alloc(4096);
  const dword = (offset: number, value: number): number => bytes.writeUInt32LE(value, offset);
  dword(0x00, 0x11e8_1234);
  dword(0x04, 0x0010_0506);
  dword(0x08, 0x00ff_0010);
  dword(0x10, 0xfe00_000c);
  dword(0x14, 0x0000_0001);
  dword(0x18, 0xfeb0_0000);
  dword(0x1c, 0xfec0_0008);
  dword(0x2c, 0x1100_1af4);
  dword(0x34, 0x40);
  dword(0x3c, 0x010b);
  dword(0x40, 0x0003_6001);
  dword(0x44, 0x0000_000b);
  dword(0x60, 0x8007_7011);
  dword(0x64, 0x0000_2001);
  dword(0x68, 0x0000_3002);
  dword(0x70, 0x0002_9010);
  dword(0x74, 0x1000_8001);
  dword(0x78, 0x0000_2020);
  dword(0x90, 0x01b5_b005);
  dword(0x94, 0xfee0_1000);
  dword(0x98, 0x0000_0001);
  dword(0x9c, 0x0000_4021);
  dword(0xa0, 0x0000_00f0);
  dword(0xb0, 0xaa08_0009);
  dword(0x100, 0x1401_0003);
  dword(0x104, 0xddee_ff00);
  dword(0x108, 0xaabb_cc11);
  dword(0x140, 0x0001_000b);
  dword(0x144, 0x01c2_abcd);
  return bytes;
}

describe('decodeConfigSpace', () => {
  test.runIf(canCompare)('reads what pciutils reads, for one capability of every kind', () => {
    const bytes = everyCapability();
    const decoded = decodeConfigSpace(bytes);
    expect(decoded.faults).toEqual([]);
    expect(decoded.capabilities.map(({ name }) => name)).toEqual([
      'Power Management',
      'MSI-X',
      'PCI Express',
      'MSI',
      'Vendor Specific',
    ]);
    expect(comparable(decoded)).toEqual(parseLspci(lspci(bytes)));
  });

  test.runIf(canCompare)('reads the 256 bytes of a conventional function', () => {
    const bytes = everyCapability().subarray(0, 256);
    expect(comparable(decodeConfigSpace(bytes))).toEqual(parseLspci(lspci(bytes)));
  });

  test('shows no capabilities when the status register says that there is no list', () => {
    const bytes = everyCapability();
    bytes[6] = 0;
    expect(decodeConfigSpace(bytes).capabilities).toEqual([]);
  });

  test('names a chain that loops, and ends', () => {
    const bytes = everyCapability();
    bytes[0xb1] = 0x60;
    expect(decodeConfigSpace(bytes).faults).toEqual(['Capability chain loops back at 0x60']);
  });

  test('names a capability that the end of the space cuts short', () => {
    const bytes = everyCapability().subarray(0, 256);
    bytes[0x34] = 0xfc;
    bytes[0xfc] = 17;
    expect(decodeConfigSpace(bytes).faults).toEqual([
      'MSI-X at 0xfc is cut short by the end of the space',
    ]);
  });

  test('refuses less than a header', () => {
    expect(() => decodeConfigSpace(Buffer.alloc(63))).toThrow(
      'Cannot decode config space of 63 bytes: the header alone takes 64',
    );
  });

  test('ends on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 4096 }), (bytes) => {
        const { capabilities, extendedCapabilities } = decodeConfigSpace(bytes);
        expect(capabilities.length).toBeLessThanOrEqual(48);
        expect(extendedCapabilities.length).toBeLessThanOrEqual(960);
      }),
    );
  });
});
