import { beforeEach, describe, expect, test } from 'vitest';
import { NotSupportedError } from '../../src/ffi/native-library-error.ts';
import type { DevicePlatform } from '../../src/hdv/hdv-binding.ts';
import { HdvDirectAccess, withdrawDirectAccess } from '../../src/hdv/hdv-direct-access.ts';
import { HdvError } from '../../src/hdv/hdv-error.ts';
import type { HDV_DEVICE, VmDeviceHost } from '../../src/hdv/vm-device-host.ts';

const DEVICE = 7n as HDV_DEVICE;
const ROW = { bar: 2, offset: 0x1000, count: 3, stride: 8 };

/** Writes down what it is asked for, and refuses what it is told to refuse. */
class RecordingDeviceHost {
  readonly log: string[] = [];
  refusal: ((name: string, parameters: unknown[]) => Error | undefined) | undefined;

  readonly functions = new Proxy({} as VmDeviceHost, {
    get:
      (_, name: string) =>
      (_requestor: HDV_DEVICE, ...parameters: unknown[]) => {
        const refused = this.refusal?.(name, parameters);
        const said = refused === undefined ? '' : ' refused';
        this.log.push(`${name.slice(3)} ${parameters.map((value) => `${value}`).join(' ')}${said}`);
        if (refused !== undefined) throw refused;
      },
  });
}

let host: RecordingDeviceHost;
let rings: (() => void)[];
let closed: string[];
let platform: DevicePlatform;
let direct: HdvDirectAccess;
let events: number;

beforeEach(() => {
  host = new RecordingDeviceHost();
  rings = [];
  closed = [];
  events = Number.POSITIVE_INFINITY;
  platform = {
    clock: () => ({ now: 0, after: () => ({ cancel() {} }) }),
    doorbellEvent: (_, ring) => {
      if (rings.length >= events) return undefined;
      const handle = BigInt(100 + rings.push(ring) - 1);
      const log = (): void => void host.log.push(`close ${handle}`);
      return { handle, [Symbol.dispose]: log };
    },
    section: (size) => ({
      handle: 55n,
      bytes: Buffer.alloc(size),
      [Symbol.dispose]: () => void closed.push('section'),
    }),
  };
  direct = new HdvDirectAccess(host.functions, DEVICE, platform);
});

const afterThis = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const take = (): string[] => host.log.splice(0);
/** HDV_DOORBELL_FLAG_TRIGGER_ANY_VALUE, of any size. */
const ANY = 0x8000_0000;

describe('a row of doorbells', () => {
  test('is registered once Start has been answered, and closed after it is unregistered', async () => {
    const watch = direct.watchDoorbells(ROW, () => {});
    expect(take()).toEqual([]);
    await afterThis();
    expect(take()).toEqual([
      `RegisterDoorbell 2 4096 0 ${ANY} 100`,
      `RegisterDoorbell 2 4104 0 ${ANY} 101`,
      `RegisterDoorbell 2 4112 0 ${ANY} 102`,
    ]);
    watch[Symbol.dispose]();
    expect(take()).toEqual([
      `UnregisterDoorbell 2 4096 0 ${ANY}`,
      'close 100',
      `UnregisterDoorbell 2 4104 0 ${ANY}`,
      'close 101',
      `UnregisterDoorbell 2 4112 0 ${ANY}`,
      'close 102',
    ]);
    watch[Symbol.dispose]();
    expect(take()).toEqual([]);
  });

  test('rings by its index, and no more once it is not watched', async () => {
    const rung: number[] = [];
    const watch = direct.watchDoorbells(ROW, (index) => rung.push(index));
    await afterThis();
    rings[2]?.();
    rings[0]?.();
    watch[Symbol.dispose]();
    rings[1]?.();
    expect(rung).toEqual([2, 0]);
  });

  test('that is left before Start was answered is never registered', async () => {
    direct.watchDoorbells(ROW, () => {})[Symbol.dispose]();
    await afterThis();
    expect(take()).toEqual([]);
  });

  test.each([
    ['restricted', () => new HdvError('HdvRegisterDoorbell', 'E_ACCESSDENIED', 'restricted')],
    ['old', () => new NotSupportedError('HdvRegisterDoorbell', 'the library does not export it')],
  ])('of a %s host is intercepted, without a word', async (_, refusal) => {
    host.refusal = refusal;
    const watch = direct.watchDoorbells(ROW, () => {});
    await afterThis();
    expect(take()).toEqual([`RegisterDoorbell 2 4096 0 ${ANY} 100 refused`, 'close 100']);
    watch[Symbol.dispose]();
    expect(take()).toEqual([]);
  });

  test('is watched as far as doorbells go, and intercepted from there on', async () => {
    host.refusal = (_, [, offset]) =>
      offset === 4104 ? new HdvError('HdvRegisterDoorbell', 'E_OUTOFMEMORY', '') : undefined;
    const watch = direct.watchDoorbells(ROW, () => {});
    await afterThis();
    expect(take().at(-1)).toBe('close 101');
    watch[Symbol.dispose]();
    expect(take()).toEqual([`UnregisterDoorbell 2 4096 0 ${ANY}`, 'close 100']);
    host.refusal = undefined;
    events = 4;
    direct.watchDoorbells(ROW, () => {});
    await afterThis();
    expect(take()).toHaveLength(2);
  });

  test('a mistake of ours is not taken for a refusal', () => {
    host.refusal = () => new TypeError('a mistake');
    expect(() => withdrawDirectAccess(host.functions, DEVICE, shape)).toThrow('a mistake');
  });
});

describe('memory of a BAR', () => {
  test('is mapped by pages once Start has been answered, and taken out again', async () => {
    const memory = direct.barMemory(8192, 4, 0x3000);
    const shown = memory?.show(4, 0x3000);
    expect(take()).toEqual([]);
    await afterThis();
    expect(take()).toEqual(['CreateSectionBackedMmioRange 4 3 2 1 55 0']);
    shown?.[Symbol.dispose]();
    shown?.[Symbol.dispose]();
    expect(take()).toEqual(['DestroySectionBackedMmioRange 4 3']);
    memory?.show(4, 0)[Symbol.dispose]();
    await afterThis();
    expect([take(), closed]).toEqual([[], []]);
    memory?.[Symbol.dispose]();
    expect(closed).toEqual(['section']);
  });

  test('that is refused stays memory of the device', async () => {
    host.refusal = (name) => new HdvError(name, 'E_ACCESSDENIED', 'restricted');
    const shown = direct.barMemory(4096, 0, 0)?.show(0, 0);
    await afterThis();
    shown?.[Symbol.dispose]();
    expect(take()).toEqual(['CreateSectionBackedMmioRange 0 0 1 1 55 0 refused']);
  });
});

const shape = {
  bars: [],
  interrupts: { kind: 'none' },
  configSize: 256,
  doorbells: [ROW],
  mapped: [{ bar: 0, offset: 0x2000, size: 4096 }],
} as const;

test('what a dead device has left in a machine is taken out by another thread', () => {
  withdrawDirectAccess(host.functions, DEVICE, shape);
  expect(take()).toEqual([
    'DestroySectionBackedMmioRange 0 2',
    `UnregisterDoorbell 2 4096 0 ${ANY}`,
    `UnregisterDoorbell 2 4104 0 ${ANY}`,
    `UnregisterDoorbell 2 4112 0 ${ANY}`,
  ]);
});
