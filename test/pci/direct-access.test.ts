import { expect, test } from 'vitest';
import { mmio } from '../../src/device/bar.ts';
import { powerManagement } from '../../src/device/capabilities.ts';
import { doorbells } from '../../src/device/doorbells.ts';
import { mapped } from '../../src/device/mapped.ts';
import { PciDevice } from '../../src/device/pci-device.ts';
import type { DoorbellShape } from '../../src/pci/device-callbacks.ts';
import type { BarMemory } from '../../src/pci/host.ts';
import { attach, identity, ON } from './attached.ts';
import { RecordingHost } from './recording-host.ts';

class Direct extends PciDevice {
  override readonly identity = identity;
  override readonly capabilities = [powerManagement()];
  readonly rung: number[][] = [];
  readonly seen: Buffer[] = [];
  readonly pages = mapped(2);
  failing = false;
  override readonly bars = {
    0: mmio(0x8000, {
      0: doorbells({ count: 2, valueless: true, ring: (...args) => this.#ring(args) }),
      256: doorbells({ count: 2, ring: (...args) => this.#ring(args) }),
      8192: this.pages,
    }),
  };

  override configure(): void {
    this.seen.push(this.pages.bytes);
  }

  #ring(args: number[]): void {
    if (this.failing) throw new Error('on purpose');
    this.rung.push(args);
  }
}

/** A host with doorbells and memory to map; `log` says what is in place. */
class DirectHost extends RecordingHost {
  readonly log: string[] = [];
  readonly memories: Buffer[] = [];
  rings: ((index: number) => void)[] = [];
  hasMemory = true;

  watchDoorbells(row: DoorbellShape, ring: (index: number) => void): Disposable {
    const place = `${row.count} doorbells at ${row.bar}:${row.offset} every ${row.stride}`;
    this.log.push(`watch ${place}`);
    this.rings.push(ring);
    return { [Symbol.dispose]: () => this.log.push(`leave ${place}`) };
  }

  barMemory(size: number): BarMemory | undefined {
    if (!this.hasMemory) return undefined;
    const bytes = Buffer.alloc(size);
    this.memories.push(bytes);
    this.log.push(`lend ${size}`);
    return {
      bytes,
      show: (bar, offset) => {
        this.log.push(`show ${bar}:${offset}`);
        return { [Symbol.dispose]: () => this.log.push(`hide ${bar}:${offset}`) };
      },
      [Symbol.dispose]: () => this.log.push('take back'),
    };
  }

  take(): string[] {
    return this.log.splice(0);
  }
}

const OPEN = ['show 0:8192', 'watch 2 doorbells at 0:0 every 4'];
const CLOSED = ['leave 2 doorbells at 0:0 every 4', 'hide 0:8192'];

function attachDirect(host = new DirectHost()) {
  const attached = attach(new Direct(), { host });
  return { ...attached, host };
}

test('the shape of a function tells hosts what they may serve without intercepts', () => {
  const { fn } = attach(new Direct());
  expect(fn.shape.doorbells).toEqual([{ bar: 0, offset: 0, count: 2, stride: 4 }]);
  expect(fn.shape.mapped).toEqual([{ bar: 0, offset: 0x2000, size: 0x2000 }]);
});

test('opens when the guest turns memory decoding on, and closes when it turns it off', () => {
  const { fn, host } = attachDirect();
  expect(host.take()).toEqual(['lend 8192', ...OPEN]);
  fn.writeConfigSpace(0x04, ON | 0x400);
  expect(host.take()).toEqual([]);
  fn.writeConfigSpace(0x04, 0);
  expect(host.take()).toEqual(CLOSED);
  fn.writeConfigSpace(0x04, ON);
  fn.writeConfigSpace(0x40 + 4, 3);
  expect(host.take()).toEqual([...OPEN, ...CLOSED]);
});

test('the device finds the memory of the host from its configuration on, with what was there before', () => {
  const device = new Direct();
  device.pages.bytes.write('kept');
  const { host, fn } = attach(device, { host: new DirectHost() });
  const memory = (host as DirectHost).memories[0]!;
  expect(device.seen).toEqual([memory]);
  expect(device.pages.bytes).toBe(memory);
  expect(memory.toString('latin1', 0, 4)).toBe('kept');
  memory.write('by the guest');
  expect(fn.readInterceptedMemory(0, 0x2000, 2)).toBe(0x7962);
});

test('a reset clears mapped pages in place and watches the doorbells anew', () => {
  const { fn, host, device } = attachDirect(new DirectHost({ commandRegister: 'unreliable' }));
  host.take();
  device.pages.bytes.fill(7);
  fn.reset('function');
  expect(host.memories[0]).toEqual(Buffer.alloc(8192));
  expect(host.take()).toEqual([CLOSED[0], OPEN[1]]);
  host.rings.at(-1)?.(1);
  expect(device.rung).toEqual([[1, 0]]);
});

test('a snapshot holds what the guest wrote into the pages', () => {
  const before = attachDirect();
  before.host.memories[0]!.write('state');
  const snapshot = before.fn.save();
  const after = attachDirect();
  after.fn.restore(snapshot);
  expect(after.host.memories[0]!.toString('latin1', 0, 5)).toBe('state');
});

test('a notice is a ring without a value, and so is an intercepted write', () => {
  const { fn, host, device } = attachDirect();
  host.rings[0]!(1);
  fn.writeInterceptedMemory(0, 4, 4, 77);
  fn.writeInterceptedMemory(0, 0x104, 4, 77);
  expect(device.rung).toEqual([
    [1, 0],
    [1, 0],
    [1, 77],
  ]);
});

test('an observer sees a notice as a ring, and an intercepted write as a write', () => {
  const { fn, host } = attachDirect();
  const seen: unknown[][] = [];
  fn.observer = {
    doorbellRung: (...args) => void seen.push(['ring', ...args]),
    memoryWrite: (...args) => void seen.push(['write', ...args]),
  };
  host.rings[0]!(1);
  fn.writeInterceptedMemory(0, 4, 4, 77);
  fn.stop();
  host.rings[0]!(1);
  expect(seen).toEqual([
    ['ring', 0, 4],
    ['write', 0, 4, 4, 77],
  ]);
});

test('a notice that comes late is dropped, and each doorbell rings once when the device goes on', () => {
  const { fn, host, device } = attachDirect();
  fn.stop();
  host.rings[0]!(1);
  expect(device.rung).toEqual([]);
  fn.start();
  expect(device.rung).toEqual([
    [0, 0],
    [1, 0],
  ]);
  fn.reset('function');
  fn.writeConfigSpace(0x04, ON);
  fn.stop();
  fn.teardown();
  fn.initialize();
  fn.start();
  expect(device.rung).toHaveLength(2);
});

test('a device that fails in a notice answers as if unplugged, also where it was mapped', () => {
  const { fn, host, device } = attachDirect();
  host.take();
  device.failing = true;
  host.rings[0]!(0);
  expect(host.failures).toHaveLength(1);
  expect(host.take()).toEqual(CLOSED);
  expect(fn.readInterceptedMemory(0, 0x2000, 4)).toBe(0xffff_ffff);
});

test('after the end the pages are the own memory of the device, contents kept', () => {
  const { fn, host, device } = attachDirect();
  host.memories[0]!.write('left');
  host.take();
  fn.teardown();
  expect(host.take()).toEqual([...CLOSED, 'take back']);
  expect(device.pages.bytes).not.toBe(host.memories[0]);
  expect(device.pages.bytes.toString('latin1', 0, 4)).toBe('left');
});

test('without memory of the host accesses are intercepted', () => {
  const host = new DirectHost();
  host.hasMemory = false;
  const { fn, device } = attachDirect(host);
  expect(host.take()).toEqual([OPEN[1]]);
  fn.writeInterceptedMemory(0, 0x2004, 4, 0xabcd);
  expect(device.pages.bytes.readUInt32LE(4)).toBe(0xabcd);
});
