import { afterEach, beforeEach, expect, test } from 'vitest';
import { GuestRam } from '../../src/engines/simulated/guest-ram.ts';
import { VirtualClock } from '../../src/engines/simulated/virtual-clock.ts';
import type { DevicePlatform, HdvBinding } from '../../src/hdv/hdv-binding.ts';
import { HdvError } from '../../src/hdv/hdv-error.ts';
import { hdvServices } from '../../src/hdv/hdv-services.ts';
import type { HDV_DEVICE, VmDeviceHost } from '../../src/hdv/vm-device-host.ts';
import type { PciHost } from '../../src/pci/host.ts';

const DEVICE = 1n as HDV_DEVICE;

let ram: GuestRam;
let mapped: { gpa: number; length: number; writeProtected: boolean }[];
let destroyed: Buffer[];
let messages: number[][];
let lines: boolean[];
let host: PciHost;
let failure: Error | undefined;
/** A restricted device host may map, and not copy. */
let isRestricted: boolean;
let copies: number;
let platform: DevicePlatform;

function copy(name: string): void {
  copies++;
  if (isRestricted) throw new HdvError(name, 'E_ACCESSDENIED', 'restricted');
}

/** The functions that a device uses, over plain memory. */
const functions: Partial<VmDeviceHost> = {
  HdvReadGuestMemory(_, gpa, count, buffer) {
    copy('HdvReadGuestMemory');
    if (!ram.read(gpa, buffer.subarray(0, count))) {
      throw new HdvError('HdvReadGuestMemory', 'ERROR_INVALID_ADDRESS', 'no memory');
    }
  },
  HdvWriteGuestMemory(_, gpa, count, buffer) {
    copy('HdvWriteGuestMemory');
    if (failure !== undefined) throw failure;
    if (!ram.write(gpa, buffer.subarray(0, count))) {
      throw new HdvError('HdvWriteGuestMemory', 'ERROR_INVALID_ADDRESS', 'no memory');
    }
  },
  HdvCreateGuestMemoryAperture(_, gpa, length, writeProtected) {
    mapped.push({ gpa, length, writeProtected });
    const aperture = ram.aperture(gpa, length);
    if (aperture === undefined) {
      throw new HdvError('HdvCreateGuestMemoryAperture', 'ERROR_NOT_ENOUGH_QUOTA', 'too many');
    }
    return aperture.bytes;
  },
  HdvDestroyGuestMemoryAperture(_, buffer) {
    destroyed.push(buffer);
    if (failure !== undefined) throw failure;
  },
  HdvDeliverGuestInterrupt(_, address, data) {
    if (failure !== undefined) throw failure;
    messages.push([address, data]);
  },
};

beforeEach(() => {
  ram = new GuestRam(64 * 1024);
  [mapped, destroyed, messages, lines] = [[], [], [], []];
  failure = undefined;
  [isRestricted, copies] = [false, 0];
  platform = {
    clock: () => new VirtualClock(),
    setInterruptLine: (_, asserted) => lines.push(asserted),
  };
  host = openHost();
});

function openHost(more: Partial<DevicePlatform> = {}): PciHost {
  const binding: HdvBinding = {
    hostName: 'simulated',
    vmDeviceHost: functions as VmDeviceHost,
    capabilities: {
      commandRegister: 'forwarded',
      intx: true,
      flexibleIovRemove: 'yes',
      doorbells: 'no',
      mappedRanges: 'no',
      placements: ['inline'],
    },
    platform: { ...platform, ...more },
  };
  return hdvServices(binding, DEVICE, () => {});
}

afterEach(() => ram.revokeAll());

test('copies go through, and failures of HDV become false: reads give ones', () => {
  expect(host.memory.write(100, Buffer.from('abc'))).toBe(true);
  const into = Buffer.alloc(3);
  expect(host.memory.read(100, into)).toBe(true);
  expect(into.toString()).toBe('abc');
  expect(host.memory.read(2 ** 40, into)).toBe(false);
  expect(into).toEqual(Buffer.alloc(3, 0xff));
  expect(host.memory.write(2 ** 40, into)).toBe(false);
});

test('what is no failure of HDV is not hidden', () => {
  failure = new TypeError('a mistake of ours');
  expect(() => host.memory.write(0, Buffer.alloc(1))).toThrow('a mistake of ours');
  expect(() => host.deliverInterrupt(0xfee0_0000, 1)).toThrow('a mistake of ours');
});

test('whole pages are mapped for an aperture, of which it shows its part', () => {
  ram.write(4096 + 100, Buffer.from('here'));
  using aperture = host.memory.aperture(4096 + 100, 4096);
  expect(mapped).toEqual([{ gpa: 4096, length: 8192, writeProtected: false }]);
  expect(aperture?.bytes.length).toBe(4096);
  expect(aperture?.bytes.toString('latin1', 0, 4)).toBe('here');
  aperture?.bytes.write('x');
  const into = Buffer.alloc(1);
  ram.read(4096 + 100, into);
  expect(into.toString()).toBe('x');
});

test('an aperture gives back the mapping it was made of, once, and is then its own', () => {
  const aperture = host.memory.aperture(10, 10, { readOnly: true });
  expect(mapped[0]?.writeProtected).toBe(true);
  aperture?.[Symbol.dispose]();
  aperture?.[Symbol.dispose]();
  expect(destroyed.map((buffer) => buffer.length)).toEqual([4096]);
  aperture?.bytes.fill(1);
  expect(aperture?.bytes).toEqual(Buffer.alloc(10, 1));
  const into = Buffer.alloc(10);
  ram.read(10, into);
  expect(into).toEqual(Buffer.alloc(10));
});

test('no aperture is made of nothing, of more than 32 bits can count, or where HDV refuses', () => {
  expect(host.memory.aperture(0, 0)).toBeUndefined();
  expect(host.memory.aperture(0, 2 ** 32)).toBeUndefined();
  expect(mapped).toEqual([]);
  expect(host.memory.aperture(2 ** 40, 16)).toBeUndefined();
});

test('after the device host is gone disposal and interrupts are quiet', () => {
  const aperture = host.memory.aperture(0, 16);
  failure = new HdvError('HdvDestroyGuestMemoryAperture', 'E_HANDLE', 'gone');
  aperture?.[Symbol.dispose]();
  host.deliverInterrupt(0xfee0_0000, 1);
  expect(messages).toEqual([]);
});

test('interrupts and the line arrive as they were sent', () => {
  host.deliverInterrupt(0xfee0_1000, 0x41);
  host.setInterruptLine(true);
  host.setInterruptLine(false);
  expect(messages).toEqual([[0xfee0_1000, 0x41]]);
  expect(lines).toEqual([true, false]);
});

test('a restricted device host is asked once; copies go by apertures from then on', () => {
  isRestricted = true;
  expect(host.memory.write(4090, Buffer.from('over the seam'))).toBe(true);
  const into = Buffer.alloc(13);
  expect(host.memory.read(4090, into)).toBe(true);
  expect(into.toString()).toBe('over the seam');
  expect(copies).toBe(1);
  expect(mapped).toEqual([
    { gpa: 0, length: 8192, writeProtected: false },
    { gpa: 0, length: 8192, writeProtected: true },
  ]);
  expect(destroyed).toHaveLength(2);
  expect(host.memory.read(2 ** 40, into)).toBe(false);
  expect(into).toEqual(Buffer.alloc(13, 0xff));
  expect(host.memory.write(2 ** 40, into)).toBe(false);
});

test('where stores into protected memory end the process, it is mapped without protection', () => {
  host = openHost({ storesFault: true });
  host.memory.aperture(0, 16, { readOnly: true })?.[Symbol.dispose]();
  expect(mapped).toEqual([{ gpa: 0, length: 4096, writeProtected: false }]);
  mapped = [];
  expect(host.memory.aperture(2 ** 40, 16, { readOnly: true })).toBeUndefined();
  expect(mapped.map(({ writeProtected }) => writeProtected)).toEqual([false, true]);
});

test('doorbells and mapped pages are there where the platform has events and sections', () => {
  expect([host.watchDoorbells, host.barMemory]).toEqual([undefined, undefined]);
  const { barMemory, watchDoorbells } = openHost({
    doorbellEvent: () => undefined,
    section: () => undefined,
  });
  expect(barMemory?.(4096, 0, 0)).toBeUndefined();
  const row = { bar: 0, offset: 0, count: 1, stride: 4 };
  watchDoorbells?.(row, () => {})[Symbol.dispose]();
});
