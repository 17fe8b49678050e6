import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Capability,
  extendedVendorSpecific,
  pciExpress,
  powerManagement,
  serialNumber,
  vendorSpecific,
} from '../../src/device/capabilities.ts';
import { intx, msi, msix } from '../../src/device/interrupts.ts';
import { PciDevice, type PciIdentity } from '../../src/device/pci-device.ts';
import { findCapability } from '../../src/pci/capability-chain.ts';
import { readConfig, writeConfig } from '../../src/pci/config-access.ts';
import { PciFunction } from '../../src/pci/pci-function.ts';
import { identity } from './attached.ts';

function functionWith(
  capabilities: readonly Capability[],
  interrupts: PciDevice['interrupts'] = { kind: 'none' },
  id: PciIdentity = identity,
): PciFunction {
  class Capable extends PciDevice {
    override readonly identity = id;
    override readonly interrupts = interrupts;
    override readonly capabilities = capabilities;
  }
  return new PciFunction(new Capable());
}

const bytesOf = (fn: PciFunction): Buffer => {
  const bytes = Buffer.alloc(fn.shape.configSize);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(fn.readConfigSpace(at), at);
  return bytes;
};

/** Ids and offsets of the list at 0x34. */
function walk(config: Buffer): { id: number; offset: number }[] {
  const found = [];
  for (let offset = config[0x34]!; offset !== 0; offset = config[offset + 1]!) {
    found.push({ id: config[offset]!, offset });
    if (found.length > 48) throw new Error('The list has a loop');
  }
  return found;
}

function walkExtended(config: Buffer): { id: number; offset: number }[] {
  const found = [];
  let offset = 0x100;
  while (offset !== 0 && config.readUInt32LE(offset) !== 0) {
    const header = config.readUInt32LE(offset);
    found.push({ id: header & 0xffff, offset });
    offset = header >>> 20;
  }
  return found;
}

test('shows identity, class and subsystem', () => {
  const fn = functionWith([], undefined, {
    vendorId: 0x1af4,
    deviceId: 0x1044,
    classCode: 0x01_0802,
    revision: 0x7,
    subsystemVendorId: 0x1111,
    subsystemId: 0x2222,
  });
  expect([0x00, 0x08, 0x2c].map((offset) => fn.readConfigSpace(offset))).toEqual([
    0x1044_1af4, 0x0108_0207, 0x2222_1111,
  ]);
  expect(fn.getDetails().pnpId).toEqual({
    vendorId: 0x1af4,
    deviceId: 0x1044,
    revisionId: 7,
    progIf: 0x02,
    subClass: 0x08,
    baseClass: 0x01,
    subVendorId: 0x1111,
    subSystemId: 0x2222,
  });
});

test('has the function as its own subsystem unless it says otherwise', () => {
  expect(functionWith([]).readConfigSpace(0x2c)).toBe(0x5678_1234);
});

test.each([
  ['a vendor id of 17 bits', { vendorId: 0x1_0000 }, 'identity.vendorId 65536'],
  ['the vendor id of nothing', { vendorId: 0xffff }, 'means that there is no device'],
  ['a class code of 25 bits', { classCode: 0x100_0000 }, 'identity.classCode'],
  ['a fraction', { deviceId: 1.5 }, 'identity.deviceId 1.5'],
  ['no device id', { deviceId: undefined as never }, 'identity.deviceId undefined'],
  ['a negative revision', { revision: -1 }, 'identity.revision -1'],
])('refuses %s', (_, change, message) => {
  expect(() => functionWith([], undefined, { ...identity, ...change })).toThrow(message);
});

test('refuses a device without an identity', () => {
  class Nobody extends PciDevice {
    override readonly identity = undefined as never;
  }
  expect(() => new PciFunction(new Nobody())).toThrow('Cannot use Nobody: it has no identity');
});

test('keeps everything but what a driver may write', () => {
  const fn = functionWith([powerManagement()], intx());
  const before = bytesOf(fn);
  for (let offset = 0; offset < 256; offset += 4) fn.writeConfigSpace(offset, 0xffff_ffff);
  const after = bytesOf(fn);
  const changed = [...after.keys()].filter((at) => after[at] !== before[at]);
  // Command, cache line size, interrupt line, and the power state.
  expect(changed).toEqual([0x04, 0x05, 0x0c, 0x3c, 0x44]);
  expect(after.readUInt16LE(0x04)).toBe(0x0546);
  expect(after.readUInt16LE(0x06)).toBe(0x0010);
  expect(after[0x3d]).toBe(1);
});

test('starts with decoding and bus mastering off', () => {
  expect(functionWith([]).readConfigSpace(0x04)).toBe(0);
});

test('reads 0 above what is implemented, and ignores writes there', () => {
  const fn = functionWith([]);
  fn.writeConfigSpace(0x100, 0xffff_ffff);
  expect([fn.readConfigSpace(0x100), fn.readConfigSpace(0xffc)]).toEqual([0, 0]);
});

test('has 4096 bytes as soon as something needs them', () => {
  expect(functionWith([]).shape.configSize).toBe(256);
  expect(functionWith([pciExpress()]).shape.configSize).toBe(4096);
  expect(functionWith([serialNumber(1), pciExpress()]).shape.configSize).toBe(4096);
});

test.each([
  ['serial number', serialNumber(1)],
  ['extended vendor-specific', extendedVendorSpecific(1, 1, Buffer.alloc(4))],
])('refuses %s where no guest would look for it', (name, capability) => {
  expect(() => functionWith([capability])).toThrow(
    new TypeError(
      `Cannot place capability ${name} without PCI Express: guests read past 256 bytes of PCI Express functions only; add pciExpress()`,
    ),
  );
});

const payload = fc.uint8Array({ minLength: 0, maxLength: 12 });
const anyCapabilities = fc
  .record({
    power: fc.boolean(),
    express: fc.boolean(),
    serial: fc.boolean(),
    vendor: fc.array(payload, { maxLength: 4 }),
    extended: fc.array(payload, { maxLength: 4 }),
    interrupts: fc.constantFrom('none', 'msi', 'msix', 'intx'),
  })
  .map(({ power, express, serial, vendor, extended, interrupts }) => ({
    capabilities: [
      ...(power ? [powerManagement()] : []),
      ...vendor.map((bytes) => vendorSpecific(bytes)),
      ...(express || extended.length > 0 || serial ? [pciExpress()] : []),
      ...extended.map((bytes) => extendedVendorSpecific(7, 1, bytes)),
      ...(serial ? [serialNumber(5)] : []),
    ],
    interrupts: { none: { kind: 'none' } as const, msi: msi(4), msix: msix(4), intx: intx() }[
      interrupts as 'none'
    ],
  }));

test('links every capability once, aligned and apart, and ends the list', () => {
  fc.assert(
    fc.property(anyCapabilities, ({ capabilities, interrupts }) => {
      const config = bytesOf(functionWith(capabilities, interrupts));
      const ids = { powerManagement: 0x01, vendorSpecific: 0x09, pciExpress: 0x10 };
      const expected = capabilities.flatMap(({ kind }) => ids[kind as keyof typeof ids] ?? []);
      const { kind } = interrupts as PciDevice['interrupts'];
      if (kind === 'msi') expected.unshift(0x05);
      if (kind === 'msix') expected.unshift(0x11);
      const list = walk(config);
      expect(list.map(({ id }) => id)).toEqual(expected);
      expect((config.readUInt16LE(0x06) & 0x10) !== 0).toBe(list.length > 0);
      for (const [index, { id, offset }] of list.entries()) {
        expect(offset % 4).toBe(0);
        expect(offset).toBeGreaterThanOrEqual(0x40);
        const end = id === 0x09 ? offset + config[offset + 2]! : offset + 4;
        expect(list[index + 1]?.offset ?? 0x100).toBeGreaterThanOrEqual(end);
        expect(findCapability(config, id)).toBeGreaterThan(0);
      }
      if (config.length === 256) return;
      const extended = capabilities.flatMap(({ kind }) =>
        kind === 'extendedVendorSpecific' ? [0x0b] : kind === 'serialNumber' ? [0x03] : [],
      );
      expect(walkExtended(config).map(({ id }) => id)).toEqual(extended);
    }),
    { numRuns: 200 },
  );
});

test.each([
  [
    'the list',
    [vendorSpecific(Buffer.alloc(180)), vendorSpecific(Buffer.alloc(80))],
    'vendor-specific',
  ],
  [
    'the extended list',
    [pciExpress(), extendedVendorSpecific(1, 1, Buffer.alloc(3900))],
    'extended vendor-specific',
  ],
])('refuses more than fits into %s, by name', (_, capabilities, name) => {
  expect(() => functionWith(capabilities)).toThrow(`Cannot place capability ${name}`);
});

test.each([
  ['power management', [powerManagement(), powerManagement()]],
  ['PCI Express', [pciExpress(), pciExpress()]],
  ['serial number', [serialNumber(1), serialNumber(2)]],
])('refuses %s twice', (name, capabilities) => {
  expect(() => functionWith(capabilities)).toThrow(`Cannot place capability ${name} twice`);
});

test('refuses a capability of no known kind', () => {
  expect(() => functionWith([{ kind: 'msi' } as never])).toThrow(
    'MSI and MSI-X come from interrupts',
  );
});

test('shows serial number and vendor-specific bytes', () => {
  const fn = functionWith([
    vendorSpecific(Buffer.from('hello')),
    serialNumber(0x0123_4567_89ab_cdefn),
    extendedVendorSpecific(0xabcd, 2, Buffer.from('world')),
    pciExpress(),
  ]);
  const config = bytesOf(fn);
  const express = findCapability(config, 0x10);
  expect(config.subarray(0x40, 0x48)).toEqual(
    Buffer.from(`\x09${String.fromCharCode(express)}\x08hello`, 'latin1'),
  );
  const [serial, vendor] = walkExtended(config);
  expect(config.readBigUInt64LE(serial!.offset + 4)).toBe(0x0123_4567_89ab_cdefn);
  expect(config.readUInt32LE(vendor!.offset + 4)).toBe(0x00d2_abcd);
  expect(config.toString('latin1', vendor!.offset + 8, vendor!.offset + 13)).toBe('world');
});

test('lets a vendor-specific capability be written, computed and watched', () => {
  const seen: number[][] = [];
  const fn = functionWith([
    vendorSpecific(Buffer.alloc(9), {
      writable: Buffer.from([0, 0xff, 0, 0, 0, 0, 0, 0, 0]),
      read: (offset) => (offset === 8 ? 0xffff_fff5 : undefined),
      write: (offset, value) => void seen.push([offset, value]),
    }),
  ]);
  writeConfig(fn, 0x44, 4, 0xffff_ffff);
  expect(fn.readConfigSpace(0x44)).toBe(0xff);
  expect(seen).toEqual([[4, 0xff]]);
  expect(fn.readConfigSpace(0x48)).toBe(0xffff_fff5);
});

test('is unplugged when a hook of a vendor-specific capability throws or returns a promise', () => {
  const broken = (): never => {
    throw new Error('bug');
  };
  const late = async (): Promise<never> => broken();
  const options = [{ read: broken }, { read: late }, { write: broken }, { write: late }] as const;
  for (const option of options) {
    const fn = functionWith([vendorSpecific(Buffer.alloc(5), option as never)]);
    fn.writeConfigSpace(0x40, 0);
    fn.readConfigSpace(0x40);
    expect(fn.failure?.message).toMatch(/bug|Cannot wait for the (read|write) hook/);
    expect(fn.readConfigSpace(0)).toBe(0xffff_ffff);
  }
});

test('merges narrow config accesses into dwords', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          offset: fc.integer({ min: 0, max: 12 }),
          width: fc.constantFrom(1 as const, 2 as const, 4 as const),
          value: fc.nat({ max: 0xffff_ffff }),
        }),
      ),
      (writes) => {
        const model = Buffer.alloc(20);
        const words = new Uint32Array(5);
        const dwords = {
          readConfigSpace: (offset: number) => words[offset / 4]!,
          writeConfigSpace: (offset: number, value: number) => {
            words[offset / 4] = value;
          },
        };
        for (const { offset, width, value } of writes) {
          const kept = width === 4 ? value : value % 2 ** (width * 8);
          model.writeUIntLE(kept, offset, width);
          writeConfig(dwords, offset, width, value);
          for (let at = 0; at <= 16; at++) {
            expect(readConfig(dwords, at, 2)).toBe(model.readUInt16LE(at));
            expect(readConfig(dwords, at, 1)).toBe(model[at]);
            expect(readConfig(dwords, at, 4)).toBe(model.readUInt32LE(at));
          }
        }
      },
    ),
    { numRuns: 100 },
  );
});
