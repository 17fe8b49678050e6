import { mmio, msi, msix, PciDevice, pciExpress, registerMap, u32 } from 'hdvkit';
import { describe, expect, test } from 'vitest';
import { eventLoopClock } from '../../src/device-host/event-loop-clock.ts';
import { VfioUserFunction } from '../../src/device-host/vfio-user-function.ts';
import { PciFunction } from '../../src/pci/pci-function.ts';
import { Irq, Region, type VfioUserPort } from '../../src/vfio-user/device.ts';
import { CallbacksDouble, capabilities } from './callbacks-double.ts';

/** A connection: remembers signals, has 16 bytes of guest memory at 0. */
class RecordingPort implements VfioUserPort {
  readonly signals: [irq: number, vector: number][] = [];
  readonly line: boolean[] = [];
  readonly ram = Buffer.from('0123456789abcdef');
  readonly memory = {
    read: (gpa: number, into: Uint8Array): boolean => {
      into.set(this.ram.subarray(gpa, gpa + into.length));
      return true;
    },
    write: (): boolean => true,
    aperture: (): undefined => undefined,
  };

  signal(irq: number, vector: number): void {
    this.signals.push([irq, vector]);
  }

  setInterruptLine(asserted: boolean): void {
    this.line.push(asserted);
  }
}

const REGS = registerMap({ SCRATCH: u32(0) });

class MsixDevice extends PciDevice {
  override readonly identity = { vendorId: 1, deviceId: 2, classCode: 0xff0000 };
  override readonly interrupts = msix(4);
  override readonly capabilities = [pciExpress({ functionLevelReset: true })];
  readonly regs = REGS.bind();
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };
}

class MsiDevice extends PciDevice {
  override readonly identity = { vendorId: 1, deviceId: 3, classCode: 0xff0000 };
  override readonly interrupts = msi(4);
}

/** A device behind a connection, as a worker has it. */
function serve<D extends PciDevice>(
  device: D,
): { device: D; fn: PciFunction; served: VfioUserFunction; port: RecordingPort } {
  const fn = new PciFunction(device);
  const served = new VfioUserFunction(fn, {
    start: () => fn.start(),
    stop: () => fn.stop(),
    disconnected: () => undefined,
  });
  fn.connect({
    capabilities: { commandRegister: 'forwarded', intx: true },
    memory: served.memory,
    clock: eventLoopClock,
    deliverInterrupt: (address, data) => served.deliverInterrupt(address, data),
    setInterruptLine: (asserted) => served.setInterruptLine(asserted),
    report: () => undefined,
  });
  fn.initialize();
  fn.setConfiguration([]);
  const port = new RecordingPort();
  served.attach(port);
  served.writeRegion(Region.CONFIG, 4, 2, 6);
  return { device, fn, served, port };
}

/** Offset of a capability, walked as a driver does. */
function find(served: VfioUserFunction, id: number): number {
  let at = served.readRegion(Region.CONFIG, 0x34, 1);
  while (at !== 0 && served.readRegion(Region.CONFIG, at, 1) !== id) {
    at = served.readRegion(Region.CONFIG, at + 1, 1);
  }
  return at;
}

describe('MSI-X', () => {
  const enable = (served: VfioUserFunction): void => {
    served.writeRegion(Region.CONFIG, find(served, 0x11) + 2, 2, 0x8000);
  };

  test('a vector with an eventfd is signalled as itself', () => {
    const { device, served, port } = serve(new MsixDevice());
    enable(served);
    for (const vector of [0, 3]) served.vectorChanged(Irq.MSIX, vector, true);
    device.interrupts.raise(3);
    device.interrupts.raise(0);
    expect(port.signals).toEqual([
      [Irq.MSIX, 3],
      [Irq.MSIX, 0],
    ]);
  });

  test('a vector without one is pending, as the guest can read, and fires when it comes', () => {
    const { device, fn, served, port } = serve(new MsixDevice());
    enable(served);
    device.interrupts.raise(2);
    const { interrupts } = fn.shape;
    if (interrupts.kind !== 'msix') throw new Error('no MSI-X');
    const { bar, offset } = interrupts.pendingBits;
    expect(served.readRegion(bar, offset, 4)).toBe(0b100);
    expect(port.signals).toEqual([]);
    served.vectorChanged(Irq.MSIX, 2, true);
    expect(port.signals).toEqual([[Irq.MSIX, 2]]);
    expect(served.readRegion(bar, offset, 4)).toBe(0);
    served.vectorChanged(Irq.MSIX, 2, false);
    device.interrupts.raise(2);
    expect(port.signals).toHaveLength(1);
  });

  test('vectors work on after a function-level reset and a device reset, once MSI-X is on again', () => {
    const { device, served, port } = serve(new MsixDevice());
    enable(served);
    served.vectorChanged(Irq.MSIX, 1, true);
    served.writeRegion(Region.BAR0, 0, 4, 7);
    served.writeRegion(Region.CONFIG, find(served, 0x10) + 8, 2, 0x8000);
    expect(device.regs.SCRATCH).toBe(0);
    for (const reset of [() => undefined, () => served.reset()]) {
      reset();
      served.writeRegion(Region.CONFIG, 4, 2, 6);
      enable(served);
      device.interrupts.raise(1);
      expect(port.signals.splice(0)).toEqual([[Irq.MSIX, 1]]);
    }
  });
});

describe('MSI', () => {
  test.each([
    [0, 0x4041, [0, 0, 0, 0]],
    [1, 0x4040, [0, 1, 0, 1]],
    [2, 0x4040, [0, 1, 2, 3]],
  ])('with 2^%i messages granted, vectors are told apart by their data', (log2, data, expected) => {
    const { device, served, port } = serve(new MsiDevice());
    const at = find(served, 0x05);
    served.writeRegion(Region.CONFIG, at + 4, 4, 0xfee0_0000);
    served.writeRegion(Region.CONFIG, at + 12, 2, data);
    served.writeRegion(Region.CONFIG, at + 2, 2, (log2 << 4) | 1);
    for (let vector = 0; vector < 4; vector++) device.interrupts.raise(vector);
    expect(port.signals).toEqual(expected.map((vector) => [Irq.MSI, vector]));
  });
});

describe('a connection', () => {
  test('lends the function its memory, and takes it back', () => {
    const { served } = serve(new MsiDevice());
    const bytes = Buffer.alloc(4);
    expect(served.memory.read(2, bytes)).toBe(true);
    expect(bytes.toString()).toBe('2345');
    served.disconnected({ type: 'closed' });
    expect(served.memory.read(2, bytes)).toBe(false);
    expect(bytes).toEqual(Buffer.alloc(4, 0xff));
    expect(served.memory.write(2, bytes)).toBe(false);
    expect(served.memory.aperture(2, 4)).toBeUndefined();
  });

  test('ends with a function as after power-on', () => {
    const { device, served } = serve(new MsixDevice());
    served.writeRegion(Region.CONFIG, 0x10, 4, 0xfebf_0000);
    served.writeRegion(Region.BAR0, 0, 4, 7);
    served.disconnected({ type: 'closed' });
    expect(device.regs.SCRATCH).toBe(0);
    expect(served.readRegion(Region.CONFIG, 0x10, 4)).toBe(0);
    expect(served.readRegion(Region.CONFIG, 4, 2) & 7).toBe(0);
  });
});

describe('a function that is nothing but the ten callbacks', () => {
  const make = (): { fn: CallbacksDouble; served: VfioUserFunction } => {
    const fn = new CallbacksDouble([0xffff_f000, 0, 0, 0, 0, 0]);
    capabilities(fn.config, [{ at: 0x40, id: 0x11, control: 3, dwords: [0x800, 0xc00] }]);
    const served = new VfioUserFunction(fn, {
      start: () => fn.start(),
      stop: () => fn.stop(),
      disconnected: () => undefined,
    });
    served.attach(new RecordingPort());
    return { fn, served };
  };

  test('is told of vectors by writes to its table, as by a guest', () => {
    const { fn, served } = make();
    served.vectorChanged(Irq.MSIX, 2, true);
    const entry = [0, 4, 8, 12].map((at) => fn.memory.get(`0:${0x820 + at}`));
    expect(entry).toEqual([32, 0x1_0000, 2, 0]);
    served.vectorChanged(Irq.MSIX, 2, false);
    expect(fn.memory.get(`0:${0x82c}`)).toBe(1);
  });

  test('is reset by what HDV gives: BARs and command register as after power-on', () => {
    const { fn, served } = make();
    served.writeRegion(Region.CONFIG, 4, 2, 6);
    served.writeRegion(Region.CONFIG, 0x10, 4, 0xfebf_0000);
    served.reset();
    expect(fn.config.getUint16(4, true)).toBe(0);
    expect(fn.config.getUint32(0x10, true)).toBe(0);
    expect(fn.calls).toEqual(['start']);
  });
});
