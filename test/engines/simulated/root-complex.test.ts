import { beforeEach, describe, expect, test } from 'vitest';
import { mmio } from '../../../src/device/bar.ts';
import { PciDevice } from '../../../src/device/pci-device.ts';
import { ram } from '../../../src/device/ram.ts';
import { AddressMap } from '../../../src/engines/simulated/address-map.ts';
import { InterruptLine } from '../../../src/engines/simulated/interrupts.ts';
import { SimulatedMachine } from '../../../src/engines/simulated/machine.ts';
import { PciFunction } from '../../../src/pci/pci-function.ts';
import { RecordingDevice } from '../../device-host/recording-device.ts';

const MEMORY_SPACE = 0x2;
const BAR = 0xd000_0000;

let machine: SimulatedMachine;
let device: RecordingDevice;

/** ECAM address of a config register of a device on bus 0. */
function ecam(slot: number, offset: number): number {
  return AddressMap.ECAM + slot * 0x8000 + offset;
}

function place(slot: number, gpa: number): void {
  machine.write(ecam(slot, 0x10), 4, gpa);
  machine.write(ecam(slot, 0x04), 2, MEMORY_SPACE);
}

beforeEach(() => {
  machine = new SimulatedMachine({ memory: 1024 * 1024 });
  device = new RecordingDevice();
});

describe('config space', () => {
  test('a device is read through ECAM in every width', () => {
    machine.plug(device);
    expect(machine.read(ecam(0, 0), 4)).toBe(0xbeef_1234);
    expect(machine.read(ecam(0, 2), 2)).toBe(0xbeef);
    expect(machine.read(ecam(0, 3), 1)).toBe(0xbe);
  });

  test('a misaligned read gets the bytes that are there', () => {
    machine.plug(device);
    expect(machine.read(ecam(0, 1), 2)).toBe(0xef12);
    expect(machine.read(ecam(0, 2), 4)).toBe(0x0000_beef);
  });

  test('where no function is, everything reads as ones and writes vanish', () => {
    machine.plug(device);
    expect(machine.read(ecam(1, 0), 4)).toBe(0xffff_ffff);
    expect(machine.read(ecam(1, 0), 2)).toBe(0xffff);
    expect(machine.read(ecam(0, 0x1000), 4)).toBe(0xffff_ffff); // function 1
    expect(machine.read(AddressMap.ECAM + 0x10_0000, 1)).toBe(0xff); // bus 1
    machine.write(ecam(1, 0x10), 4, 0x1234);
    expect(device.config[4]).toBe(0);
  });

  test('slots are given in order, can be asked for, and are 32', () => {
    const third = machine.plug(new RecordingDevice(), new InterruptLine(), 3);
    expect(third.device).toBe(3);
    expect(() => machine.plug(device, new InterruptLine(), 3)).toThrow('the slot is taken');
    for (let i = 0; i < 31; i++) machine.plug(new RecordingDevice());
    expect(() => machine.plug(device)).toThrow('all 32 slots are taken');
    machine.unplug(third);
    expect(machine.plug(device).device).toBe(3);
  });
});

/** A started function with one BAR, and what its observer sees of config space and memory. */
function watched(): { fn: PciFunction; seen: unknown[][] } {
  class Plain extends PciDevice {
    override readonly identity = { vendorId: 0x1234, deviceId: 0xbeef, classCode: 0xff0000 };
    override readonly bars = { 0: mmio(4096, { 0: ram(16) }) };
  }
  const fn = new PciFunction(new Plain());
  fn.connect(machine.portFor(new InterruptLine(), () => {}));
  fn.initialize();
  fn.start();
  const seen: unknown[][] = [];
  fn.observer = {
    configRead: (offset) => seen.push(['configRead', offset]),
    configWrite: (offset) => seen.push(['configWrite', offset]),
    memoryRead: (bar, offset) => seen.push(['memoryRead', bar, offset]),
  };
  return { fn, seen };
}

describe('an observer', () => {
  test('sees the accesses that the guest made, and none of the machine', () => {
    const { fn, seen } = watched();
    machine.plug(fn);
    place(0, BAR);
    expect(machine.read(BAR + 4, 4)).toBe(0);
    expect(machine.read(ecam(0, 0), 2)).toBe(0x1234);
    expect(seen).toEqual([
      ['configWrite', 0x10],
      ['configWrite', 0x04],
      ['memoryRead', 0, 4],
      ['configRead', 0],
    ]);
  });

  test('changes nothing about which addresses are claimed', () => {
    const { fn } = watched();
    fn.observer = undefined;
    machine.plug(fn);
    place(0, BAR);
    machine.write(BAR, 4, 0x55);
    expect(machine.read(BAR, 4)).toBe(0x55);
    expect(machine.read(BAR + 4096, 4)).toBe(0xffff_ffff);
  });
});

describe('device memory', () => {
  test('a BAR is where the guest put it, once memory decoding is on', () => {
    machine.plug(device);
    device.storage.writeUInt32LE(0x1122_3344, 8);
    machine.write(ecam(0, 0x10), 4, BAR);
    expect(machine.read(BAR + 8, 4)).toBe(0xffff_ffff);
    machine.write(ecam(0, 0x04), 2, MEMORY_SPACE);
    expect(machine.read(BAR + 8, 4)).toBe(0x1122_3344);
    expect(machine.read(BAR + 9, 1)).toBe(0x33);
    machine.write(ecam(0, 0x10), 4, BAR + 0x1000);
    expect(machine.read(BAR + 8, 4)).toBe(0xffff_ffff);
    expect(machine.read(BAR + 0x1008, 2)).toBe(0x3344);
  });

  test('an access that leaves a BAR touches what is inside only', () => {
    machine.plug(device);
    place(0, BAR);
    machine.write(BAR + 4094, 4, 0xaabb_ccdd);
    expect(device.storage.readUInt16LE(4094)).toBe(0xccdd);
    expect(machine.read(BAR + 4094, 4)).toBe(0xffff_ccdd);
    expect(machine.read(BAR - 1, 2)).toBe(0xffff);
  });

  test('an access that goes from one BAR into the next is shared between them', () => {
    const second = new RecordingDevice();
    machine.plug(device);
    machine.plug(second);
    place(0, BAR);
    place(1, BAR + 0x1000);
    machine.write(BAR + 4094, 4, 0x4433_2211);
    expect([...device.storage.subarray(4094)]).toEqual([0x11, 0x22]);
    expect([...second.storage.subarray(0, 2)]).toEqual([0x33, 0x44]);
    expect(machine.read(BAR + 4094, 4)).toBe(0x4433_2211);
  });

  test('after unplug its addresses read as ones', () => {
    const slot = machine.plug(device);
    place(0, BAR);
    machine.unplug(slot);
    expect(machine.read(BAR, 4)).toBe(0xffff_ffff);
    expect(machine.read(ecam(0, 0), 4)).toBe(0xffff_ffff);
  });

  test('RAM wins over a BAR that a guest put on top of it', () => {
    machine.plug(device);
    place(0, 0x1000);
    machine.write(0x1000, 4, 5);
    expect(device.storage.readUInt32LE(0)).toBe(0);
    expect(machine.read(0x1000, 4)).toBe(5);
  });
});

describe('interrupts', () => {
  test('a message to the interrupt range is queued with its time', () => {
    machine.advance(3);
    machine.deliverMessage(0xfee0_1000, 0x41);
    expect(machine.interrupts.take()).toEqual([{ address: 0xfee0_1000, data: 0x41, time: 3 }]);
    expect(machine.interrupts.take()).toEqual([]);
  });

  test('a message elsewhere is a write like any other', () => {
    machine.deliverMessage(0x2000, 0x0102_0304);
    expect(machine.read(0x2000, 4)).toBe(0x0102_0304);
    machine.deliverMessage(0x7000_0000, 1);
    expect(machine.interrupts.take()).toEqual([]);
  });

  test('a listener hears at once, what waited first', () => {
    machine.deliverMessage(0xfee0_0000, 1);
    const heard: number[] = [];
    machine.interrupts.listen(({ data }) => heard.push(data));
    machine.deliverMessage(0xfee0_0000, 2);
    expect(heard).toEqual([1, 2]);
    expect(machine.interrupts.take()).toEqual([]);
  });

  test('a line tells of changes only', () => {
    const line = new InterruptLine();
    const levels: boolean[] = [];
    line.onChange = (asserted) => levels.push(asserted);
    line.set(true);
    line.set(true);
    line.set(false);
    expect(levels).toEqual([true, false]);
  });
});

test('while the machine is paused no time passes', () => {
  let fired = 0;
  machine.clock.after(5, () => fired++);
  machine.pause();
  machine.advance(10);
  expect(fired).toBe(0);
  machine.resume();
  machine.advance(5);
  expect(fired).toBe(1);
});
