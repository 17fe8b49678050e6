import { expect, test } from 'vitest';
import { mmio } from '../../src/device/bar.ts';
import { powerManagement } from '../../src/device/capabilities.ts';
import { msix } from '../../src/device/interrupts.ts';
import { mapped } from '../../src/device/mapped.ts';
import { PciDevice } from '../../src/device/pci-device.ts';
import { ram } from '../../src/device/ram.ts';
import { u32 } from '../../src/device/register.ts';
import { registerMap } from '../../src/device/register-map.ts';
import { PciFunction } from '../../src/pci/pci-function.ts';
import { attach, identity, ON } from './attached.ts';

const MAP = registerMap({ COUNT: u32(0), RUN: u32(4) });

class Counter extends PciDevice {
  override readonly identity: PciDevice['identity'] = identity;
  override readonly interrupts = msix(2);
  override readonly capabilities = [powerManagement()];
  readonly regs = MAP.bind();
  readonly pages = mapped(1);
  override readonly bars: PciDevice['bars'] = {
    0: mmio(0x4000, { 0: this.regs, 256: ram(4), 4096: this.pages }),
  };
  #laps = 0;

  override start(): void {
    if (this.regs.RUN !== 0) this.clock.after(10, () => this.#lap());
  }

  override save(): unknown {
    return { version: 1, laps: this.#laps };
  }

  override restore(state: unknown): void {
    this.#laps = (state as { laps: number }).laps;
  }

  get laps(): number {
    return this.#laps;
  }

  #lap(): void {
    this.#laps++;
    this.regs.COUNT++;
    this.start();
  }
}

function used() {
  const attached = attach(new Counter());
  const { fn, device, host } = attached;
  fn.writeConfigSpace(0x10, 0xfe00_0000);
  fn.writeConfigSpace(0x40, 0x8000_0000);
  fn.setMsixEntry(1, 0xfee0_0000, 0x55, false);
  fn.setMsixEntry(0, 0xfee0_0000, 0x54, true);
  device.interrupts.raise(0);
  fn.writeInterceptedMemory(0, 0x100, 4, 0x1234_5678);
  device.pages.bytes.write('pages');
  device.regs.RUN = 1;
  device.start();
  host.advance(10);
  host.advance(10);
  return attached;
}

const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test.each([
  ['in place', (snapshot: unknown) => snapshot],
  ['through JSON', throughJson],
  ['through structuredClone', (snapshot: unknown) => structuredClone(snapshot)],
])('brings everything back, %s', (_, carry) => {
  const before = used();
  const snapshot = carry(before.fn.save());
  const after = attach(new Counter(), { command: 0 });
  after.fn.restore(snapshot);
  expect(throughJson(after.fn.save())).toEqual(throughJson(before.fn.save()));
  expect(after.fn.readConfigSpace(0x10)).toBe(0xfe00_0000);
  expect(after.fn.readConfigSpace(0x04) & 0xffff).toBe(ON);
  expect(after.device.laps).toBe(2);
  expect(after.device.pages.bytes.toString('latin1', 0, 5)).toBe('pages');
  expect(after.fn.readInterceptedMemory(0, 0x100, 4)).toBe(0x1234_5678);
  after.device.interrupts.raise(1);
  after.fn.setMsixEntry(0, 0xfee0_0000, 0x54, false);
  expect(after.host.takeMessages().map(([, data]) => data)).toEqual([0x55, 0x54]);
});

test('resumes what was running, once, and drops what ran before', () => {
  const snapshot = used().fn.save();
  const { fn, device, host } = used();
  fn.restore(snapshot);
  expect(host.timers).toBe(1);
  host.advance(10);
  expect([device.laps, device.regs.COUNT]).toEqual([3, 3]);
});

test('can be restored before it starts', () => {
  const snapshot = used().fn.save();
  const device = new Counter();
  const fn = new PciFunction(device);
  const { host } = attach(new Counter());
  fn.restore(snapshot);
  fn.connect(host);
  fn.initialize();
  fn.start();
  expect([device.regs.COUNT, host.timers]).toEqual([2, 1]);
});

test('sleeps in D3hot when the snapshot did', () => {
  const before = used();
  before.fn.writeConfigSpace(0x50, 3);
  const after = attach(new Counter());
  after.fn.restore(before.fn.save());
  expect(after.fn.readInterceptedMemory(0, 0, 4)).toBe(0xffff_ffff);
});

type Changes = Record<string, unknown>;
const refuses: [string, (saved: Changes) => unknown, string][] = [
  ['nothing', () => undefined, 'not a snapshot'],
  ['a later version', (s) => ({ ...s, version: 2 }), 'the snapshot has version 2, this is 1'],
  ['another device', (s) => ({ ...s, device: 'Other' }), 'the snapshot is of Other'],
  ['no BARs', (s) => ({ ...s, bars: undefined }), 'the snapshot has no BARs'],
  ['no config space', (s) => ({ ...s, config: 'ff' }), 'does not hold 256 bytes of it'],
  [
    'another identity',
    (s) => ({ ...s, config: `00000000${(s.config as string).slice(8)}` }),
    'offset 0x0 holds 0x0 in the snapshot, 0x56781234 here',
  ],
  ['no vectors', (s) => ({ ...s, interrupts: {} }), 'does not hold 2 vectors'],
  [
    'a region that is not there',
    (s) => ({ ...s, bars: { ...(s.bars as object), 3: { 0: {} } } }),
    'Cannot restore BAR 3, offset 0: the device has nothing there',
  ],
  ['a region missing', (s) => ({ ...s, bars: {} }), 'Cannot restore BAR 0, offset 0: the snapshot'],
];

test.each(refuses)('refuses a snapshot with %s, and changes nothing', (_, change, message) => {
  const { fn } = used();
  const before = fn.save();
  expect(() => fn.restore(change({ ...before }))).toThrow(message);
  expect(fn.save()).toEqual(before);
});

test('refuses a snapshot of other vectors or capabilities', () => {
  class More extends PciDevice {
    override readonly identity = identity;
    override readonly interrupts = msix(3);
  }
  class Named extends PciDevice {
    override readonly identity = identity;
    override readonly interrupts = msix(4);
  }
  Object.defineProperty(Named, 'name', { value: 'More' });
  const saved = new PciFunction(new More()).save();
  expect(() => new PciFunction(new Named()).restore(saved)).toThrow('offset 0x40 holds');
});

test('refuses a snapshot whose regions hold something else, and goes on as before', () => {
  const { fn, device, host } = used();
  const before = fn.save();
  const bars = { 0: { ...before.bars[0], 4096: Buffer.alloc(3) } };
  device.regs.COUNT = 77;
  expect(() => fn.restore({ ...before, bars })).toThrow('does not hold 4096 bytes');
  expect([device.regs.COUNT, fn.failure, host.timers]).toEqual([77, undefined, 1]);
  expect(fn.readInterceptedMemory(0, 0, 4)).toBe(77);
});

const late = (): Promise<void> => Promise.reject(new Error('nobody hears this'));
const broken = (): never => {
  throw new Error('bug');
};

test.each([
  ['restore', 'throws', { restore: broken }, 'bug'],
  ['restore', 'returns a promise', { restore: late }, 'Cannot wait for restore'],
  ['save', 'throws', { save: broken }, 'bug'],
  ['save', 'returns a promise', { save: late }, 'Cannot wait for save'],
] as const)('is unplugged when %s %s, and says so', (what, _, change, message) => {
  const { fn, device, host } = used();
  const snapshot = fn.save();
  Object.assign(device, change);
  const act = (): unknown => (what === 'save' ? fn.save() : fn.restore(snapshot));
  expect(act).toThrow(message);
  expect(host.failures).toEqual([fn.failure]);
  expect([fn.readConfigSpace(0), host.timers]).toEqual([0xffff_ffff, 0]);
  expect(act).toThrow(fn.failure);
});

test.each([
  ['save', 'Cannot wait for save of a region'],
  ['restore', 'Cannot wait for restore of a region'],
])('refuses a region whose %s returns a promise', (what, message) => {
  const { fn, device } = used();
  const snapshot = fn.save();
  Object.assign(device.pages, { [what]: late });
  expect(() => (what === 'save' ? fn.save() : fn.restore(snapshot))).toThrow(message);
});
