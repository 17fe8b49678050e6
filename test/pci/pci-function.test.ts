import { expect, test } from 'vitest';
import { mmio } from '../../src/device/bar.ts';
import { pciExpress, powerManagement } from '../../src/device/capabilities.ts';
import { DeviceFailedError } from '../../src/device/device-failed-error.ts';
import { doorbells } from '../../src/device/doorbells.ts';
import { msix } from '../../src/device/interrupts.ts';
import type { MmioRegion } from '../../src/device/mmio-region.ts';
import { PciDevice } from '../../src/device/pci-device.ts';
import { u32 } from '../../src/device/register.ts';
import { registerMap } from '../../src/device/register-map.ts';
import type { ResetKind } from '../../src/device/services.ts';
import { PciFunction } from '../../src/pci/pci-function.ts';
import { attach, identity, ON } from './attached.ts';
import { RecordingHost } from './recording-host.ts';

const MAP = registerMap({ VALUE: u32(0, { reset: 5 }), GO: u32(4), WATCH: u32(8) });

/** Writes down what is asked of it, and fails where `fails` says so. */
class Recorder extends PciDevice {
  override readonly identity = identity;
  readonly calls: string[] = [];
  fails = '';
  readonly regs = MAP.bind({
    GO: { write: (value) => this.note(`go ${value}`) },
    WATCH: { read: () => this.note('watch') ?? 1 },
  });
  readonly region: MmioRegion = {
    size: 16,
    read: () => this.note('read') ?? 0,
    write: () => this.note('write'),
    reset: () => this.note('region reset'),
  };
  override readonly bars = {
    0: mmio(0x1000, {
      0: this.regs,
      256: this.region,
      512: doorbells({ count: 1, ring: () => this.note('ring') }),
    }),
  };
  override readonly capabilities = [
    powerManagement({ noSoftReset: false }),
    pciExpress({ functionLevelReset: true }),
  ];

  note(call: string): undefined {
    this.calls.push(call);
    if (call === this.fails) throw new Error(`bug in ${call}`);
  }

  override configure(strings: readonly string[]): void {
    this.note(`configure ${strings.join(' ')}`);
  }

  override start(): void {
    this.note('start');
  }

  override stop(): void {
    this.note('stop');
  }

  override reset(kind: ResetKind): void {
    this.note(`reset ${kind}`);
  }
}

/** Offsets of the capabilities of {@link Recorder}. */
const POWER = 0x44;
const DEVICE_CONTROL = 0x50;

const command = (fn: PciFunction): number => fn.readConfigSpace(4) & 0xffff;

test('goes through its life in order', () => {
  const device = new Recorder();
  const fn = new PciFunction(device);
  fn.connect(new RecordingHost());
  fn.initialize();
  fn.setConfiguration(['speed=2', 'mode=x']);
  const details = fn.getDetails();
  fn.start();
  expect(fn.getDetails()).toEqual(details);
  fn.stop();
  fn.stop();
  fn.start();
  fn.teardown();
  fn.teardown();
  expect(device.calls).toEqual(['configure speed=2 mode=x', 'start', 'stop', 'start', 'stop']);
});

test('needs a host before it is initialized, and initialization before it starts', () => {
  const fn = new PciFunction(new Recorder());
  expect(() => fn.initialize()).toThrow(
    'Cannot initialize Recorder: it is not connected to a host',
  );
  expect(() => fn.start()).toThrow('Cannot start Recorder: it is not initialized');
  fn.connect(new RecordingHost());
  fn.initialize();
  expect(() => fn.initialize()).toThrow('Cannot initialize Recorder twice');
  expect(() => fn.connect(new RecordingHost())).toThrow('Cannot connect Recorder: it is attached');
});

test('can be attached again, to another host, as after power-on', () => {
  const { fn, device } = attach(new Recorder());
  device.regs.VALUE = 9;
  fn.teardown();
  expect(() => device.guestError('x')).toThrow('not attached to a host');
  const second = new RecordingHost();
  fn.connect(second);
  fn.initialize();
  fn.start();
  expect([device.regs.VALUE, command(fn)]).toEqual([5, 0]);
  device.guestError('hello');
  expect(second.guestErrors).toEqual(['hello']);
});

test('keeps its configuration over resets', () => {
  class Strapped extends PciDevice {
    override readonly identity = identity;
    readonly regs = MAP.bind();
    override readonly bars = { 0: mmio(16, { 0: this.regs }) };

    override configure([value = '1']: readonly string[]): void {
      this.regs.VALUE = Number(value);
    }
  }
  const { fn } = attach(new Strapped());
  fn.reset('cold');
  fn.writeConfigSpace(4, ON);
  expect(fn.readInterceptedMemory(0, 0, 4)).toBe(1);
  fn.setConfiguration(['7']);
  fn.reset('function');
  fn.writeConfigSpace(4, ON);
  expect(fn.readInterceptedMemory(0, 0, 4)).toBe(7);
});

test('is attached once at a time', () => {
  const { fn, device } = attach(new Recorder());
  const second = new PciFunction(device);
  second.connect(new RecordingHost());
  expect(() => second.initialize()).toThrow(
    'Cannot initialize Recorder: this instance is attached',
  );
  fn.teardown();
  expect(() => second.initialize()).not.toThrow();
});

test('refuses interrupts that another device has', () => {
  const shared = msix(1);
  class Sharing extends PciDevice {
    override readonly identity = identity;
    override readonly interrupts = shared;
  }
  const { fn } = attach(new Sharing());
  expect(() => attach(new Sharing())).toThrow('another device has its interrupts; call msix()');
  fn.teardown();
  expect(() => attach(new Sharing())).not.toThrow();
});

test('passes on what the device says about its configuration', () => {
  class Plain extends PciDevice {
    override readonly identity = identity;
  }
  const fn = new PciFunction(new Plain());
  fn.connect(new RecordingHost());
  fn.initialize();
  expect(() => fn.setConfiguration(['x'])).toThrow('Cannot configure Plain with "x"');
  class Late extends Plain {
    override async configure(): Promise<void> {}
  }
  expect(() => new PciFunction(new Late()).setConfiguration([])).toThrow(
    'Cannot wait for configure',
  );
});

test('decodes its BARs while the guest has memory decoding on', () => {
  const { fn } = attach(new Recorder());
  expect(fn.readInterceptedMemory(0, 0, 4)).toBe(5);
  fn.writeConfigSpace(4, 0x4);
  fn.writeInterceptedMemory(0, 0, 4, 7);
  expect(fn.readInterceptedMemory(0, 0, 4)).toBe(0xffff_ffff);
  fn.writeConfigSpace(4, ON);
  expect(fn.readInterceptedMemory(0, 0, 4)).toBe(5);
});

test('decodes from start to stop where command register writes may be lost', () => {
  const host = new RecordingHost({ commandRegister: 'unreliable' });
  const { fn } = attach(new Recorder(), { host, command: 0 });
  expect([fn.readInterceptedMemory(0, 0, 4), command(fn)]).toEqual([5, 0]);
  fn.writeConfigSpace(POWER, 3);
  expect(fn.readInterceptedMemory(0, 0, 4)).toBe(5);
  fn.stop();
  expect(fn.readInterceptedMemory(0, 0, 4)).toBe(0xffff_ffff);
});

test('resets in order, and keeps running', () => {
  const { fn, device, host } = attach(new Recorder());
  device.regs.VALUE = 9;
  device.clock.after(10, () => device.note('timer'));
  device.calls.length = 0;
  fn.reset('cold');
  expect(device.calls).toEqual(['region reset', 'reset cold', 'configure ']);
  expect([device.regs.VALUE, command(fn), host.timers]).toEqual([5, 0, 0]);
  device.clock.after(1, () => device.note('after'));
  host.advance(20);
  expect(device.calls.at(-1)).toBe('after');
});

test('resets itself when the guest writes Initiate Function Level Reset', () => {
  const { fn, device } = attach(new Recorder());
  device.calls.length = 0;
  fn.writeConfigSpace(DEVICE_CONTROL, 0x8000);
  expect(device.calls).toEqual(['region reset', 'reset function', 'configure ']);
  expect(fn.readConfigSpace(DEVICE_CONTROL) & 0xffff).toBe(0x2810);
  expect(fn.readConfigSpace(DEVICE_CONTROL - 4) & 0x1000_0000).toBe(0x1000_0000);
});

test('keeps the payload size and link control through a function-level reset, not through others', () => {
  const { fn } = attach(new Recorder());
  const linkControl = DEVICE_CONTROL + 8;
  const values = (): number[] =>
    [DEVICE_CONTROL, linkControl].map((offset) => fn.readConfigSpace(offset) & 0xffff);
  fn.writeConfigSpace(linkControl, 0xff);
  fn.writeConfigSpace(DEVICE_CONTROL, 0x8000 | 0x2810 | 0x2f);
  expect(values()).toEqual([0x2830, 0xcb]);
  fn.reset('cold');
  expect(values()).toEqual([0x2810, 0]);
});

test('has no function-level reset unless it says so', () => {
  class Plain extends PciDevice {
    override readonly identity = identity;
    override readonly capabilities = [pciExpress()];
    resets = 0;
    override reset(): void {
      this.resets++;
    }
  }
  const { fn, device } = attach(new Plain());
  fn.writeConfigSpace(0x48, 0x8000);
  expect([device.resets, fn.readConfigSpace(0x44) & 0x1000_0000]).toEqual([0, 0]);
});

test('stops decoding in D3hot, and loses its state on the way back where it says so', () => {
  const { fn, device } = attach(new Recorder());
  device.regs.VALUE = 9;
  device.calls.length = 0;
  fn.writeConfigSpace(POWER, 3);
  expect([fn.readConfigSpace(POWER), fn.readInterceptedMemory(0, 0, 4)]).toEqual([3, 0xffff_ffff]);
  fn.writeConfigSpace(POWER, 0);
  expect(device.calls).toEqual(['region reset', 'reset function', 'configure ']);
  expect([fn.readConfigSpace(POWER), command(fn), device.regs.VALUE]).toEqual([0, 0, 5]);
});

test('keeps its state through D3hot with No_Soft_Reset, and ignores D1 and D2', () => {
  class Keeper extends Recorder {
    override readonly capabilities = [powerManagement()] as never;
  }
  const { fn, device } = attach(new Keeper());
  device.regs.VALUE = 9;
  fn.writeConfigSpace(POWER, 1);
  expect(fn.readConfigSpace(POWER)).toBe(0x8);
  fn.writeConfigSpace(POWER, 3);
  fn.writeConfigSpace(POWER, 2);
  expect(fn.readConfigSpace(POWER)).toBe(0xb);
  fn.writeConfigSpace(POWER, 0);
  expect([fn.readInterceptedMemory(0, 0, 4), fn.readConfigSpace(POWER)]).toEqual([9, 0x8]);
});

const provoke: Record<string, (attached: ReturnType<typeof attach<Recorder>>) => unknown> = {
  'go 1': ({ fn }) => fn.writeInterceptedMemory(0, 4, 4, 1),
  watch: ({ fn }) => fn.readInterceptedMemory(0, 8, 4),
  read: ({ fn }) => fn.readInterceptedMemory(0, 0x100, 4),
  write: ({ fn }) => fn.writeInterceptedMemory(0, 0x100, 4, 1),
  ring: ({ fn }) => fn.writeInterceptedMemory(0, 0x200, 4, 1),
  'reset function': ({ fn }) => fn.writeConfigSpace(DEVICE_CONTROL, 0x8000),
  'region reset': ({ fn }) => fn.reset('cold'),
  stop: ({ fn }) => fn.stop(),
  timer: ({ device, host }) => {
    device.clock.after(1, () => device.note('timer'));
    host.advance(1);
  },
};

test.each(Object.keys(provoke))(
  'is unplugged when "%s" throws, and nothing else happens',
  (what) => {
    const attached = attach(new Recorder());
    const { fn, device, host } = attached;
    device.clock.after(1000, () => {});
    device.memory.aperture(0, 16);
    device.fails = what;
    expect(() => provoke[what]?.(attached)).not.toThrow();

    expect(host.failures).toHaveLength(1);
    const [failure] = host.failures;
    expect(failure).toBeInstanceOf(DeviceFailedError);
    expect(failure?.message).toBe(`Cannot go on with Recorder as its code failed: bug in ${what}`);
    expect(failure?.cause).toMatchObject({ message: `bug in ${what}` });
    expect(fn.failure).toBe(failure);
    expect(device.calls.filter((call) => call === 'stop')).toHaveLength(1);
    expect([host.timers, host.openApertures]).toEqual([0, 0]);

    expect(fn.readConfigSpace(0)).toBe(0xffff_ffff);
    expect(fn.readInterceptedMemory(0, 0, 2)).toBe(0xffff);
    device.calls.length = 0;
    fn.writeInterceptedMemory(0, 4, 4, 1);
    fn.writeConfigSpace(DEVICE_CONTROL, 0x8000);
    fn.reset('cold');
    fn.stop();
    expect(device.calls).toEqual([]);
    expect(() => fn.start()).toThrow(failure);
    expect(device.memory.read(0, Buffer.alloc(1))).toBe(false);
  },
);

test('answers the access that failed with ones', () => {
  const { fn, device } = attach(new Recorder());
  device.fails = 'watch';
  expect(fn.readInterceptedMemory(0, 8, 4)).toBe(0xffff_ffff);
});

const late = async (): Promise<never> => {
  throw new Error('nobody hears this');
};

test.each([
  [
    'a write hook',
    (d: Recorder) => Object.assign(d, { note: (call: string) => (call === 'go 1' ? late() : 0) }),
    'write hook of GO',
  ],
  ['a region', (d: Recorder) => Object.assign(d.region, { write: late }), 'write of a region'],
  ['a read', (d: Recorder) => Object.assign(d.region, { read: late }), 'read of a region'],
  ['reset', (d: Recorder) => Object.assign(d, { reset: late }), 'Cannot wait for reset'],
  [
    'a region reset',
    (d: Recorder) => Object.assign(d.region, { reset: late }),
    'reset of a region',
  ],
])('is unplugged when %s returns a promise', (_, change, message) => {
  const { fn, device, host } = attach(new Recorder());
  change(device);
  fn.writeInterceptedMemory(0, 4, 4, 1);
  fn.writeInterceptedMemory(0, 0x100, 4, 1);
  fn.readInterceptedMemory(0, 0x100, 4);
  fn.reset('cold');
  expect(host.failures.map((failure) => failure.message).join()).toContain(message);
});

test('fails its start when the device does', () => {
  const device = new Recorder();
  device.fails = 'start';
  const fn = new PciFunction(device);
  const host = new RecordingHost();
  fn.connect(host);
  fn.initialize();
  expect(() => fn.start()).toThrow('bug in start');
  expect(host.failures).toHaveLength(1);
  device.fails = '';
  fn.teardown();
  fn.initialize();
  expect(() => fn.start()).not.toThrow();
  expect(fn.readConfigSpace(0)).toBe(0x5678_1234);
});

test('runs timers while started, and drops those of a stopped device', () => {
  const { fn, device, host } = attach(new Recorder());
  const fired: string[] = [];
  device.clock.after(5, () => fired.push('five'));
  device.clock.after(1, () => fired.push('one')).cancel();
  const again = device.clock.after(2, () => fired.push('two'));
  host.advance(5);
  again.cancel();
  expect(fired).toEqual(['five', 'two']);
  expect(device.clock.now).toBe(5);
  device.clock.after(5, () => fired.push('never'));
  fn.stop();
  device.clock.after(1, () => fired.push('stopped')).cancel();
  host.advance(100);
  expect([fired.length, host.timers]).toEqual([2, 0]);
});

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses to wait %d ms', (ms) => {
  const { device } = attach(new Recorder());
  expect(() => device.clock.after(ms, () => {})).toThrow(`Cannot wait ${ms} ms`);
});
