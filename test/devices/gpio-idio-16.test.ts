import { connect } from 'node:net';
import { fuzz, type PlugOptions, SimulatedVm } from 'hdvkit/testing';
import { describe, expect, test } from 'vitest';
import { GpioIdio16 } from '../../devices/gpio-idio-16/index.ts';
import { Board, FILTER_MS, IDIO_16, IrqStatus } from '../../devices/gpio-idio-16/registers.ts';
import { FUZZ_ACCESSES, FUZZ_TIMEOUT } from '../fuzz-accesses.ts';
import { socketPath } from './socket-path.ts';

const { OUT0_7, IN0_7, IRQ_CTL, FILTER_CTL, OUT8_15, IN8_15, IRQ_STATUS } = IDIO_16.offsets;

function plug(options: PlugOptions = {}) {
  const vm = new SimulatedVm();
  const device = new GpioIdio16();
  const seen: number[] = [];
  device.onOutput = (outputs) => seen.push(outputs);
  const guest = vm.plug(device, options);
  return { vm, device, guest, bar2: guest.bar(Board.BAR), seen };
}

/** A card whose interrupt a driver has enabled. */
function listening() {
  const plugged = plug();
  plugged.bar2.read8(IRQ_CTL);
  return plugged;
}

test('is found by its ids, with 256 bytes in BAR 2', () => {
  const { guest, bar2 } = plug();
  expect([guest.vendorId, guest.deviceId]).toEqual([0x494f, 0x0dc8]);
  expect(bar2.size).toBe(256);
  expect(guest.bars).toHaveLength(1);
  expect(guest.interrupts.offered).toEqual({ mode: 'intx', count: 1 });
});

test('reads zero everywhere after reset', () => {
  const { bar2 } = plug();
  for (const offset of Object.values(IDIO_16.offsets)) expect(bar2.read8(offset)).toBe(0);
});

test('drives its outputs, and reads them back', () => {
  const { device, bar2, seen } = plug();
  bar2.write8(OUT0_7, 0x81);
  bar2.write8(OUT8_15, 0x18);
  expect([bar2.read8(OUT0_7), bar2.read8(OUT8_15)]).toEqual([0x81, 0x18]);
  expect(device.outputs).toBe(0x1881);
  expect(seen).toEqual([0x0081, 0x1881]);
});

test('says nothing of an output that stays', () => {
  const { bar2, seen } = plug();
  bar2.write8(OUT0_7, 1);
  bar2.write8(OUT0_7, 1);
  expect(seen).toEqual([1]);
});

test('reads its inputs', () => {
  const { device, bar2 } = plug();
  device.inputs = 0xa55a;
  expect([bar2.read8(IN0_7), bar2.read8(IN8_15)]).toEqual([0x5a, 0xa5]);
  bar2.write8(IN8_15, 0xff);
  expect(bar2.read8(IN8_15)).toBe(0xa5);
});

describe('interrupt', () => {
  test.each([
    ['the lower half', 0x0001, IrqStatus.IN0_7],
    ['the upper half', 0x8000, IrqStatus.IN8_15],
    ['both halves', 0x0180, IrqStatus.IN0_7 | IrqStatus.IN8_15],
  ])('says that an input of %s changed, until it is cleared', (_, inputs, halves) => {
    const { device, guest, bar2 } = listening();
    device.inputs = inputs;
    expect(guest.takeInterrupts()).toEqual([0]);
    expect(bar2.read8(IRQ_STATUS)).toBe(halves | IrqStatus.PENDING);
    bar2.write8(IN0_7, 0);
    expect(bar2.read8(IRQ_STATUS)).toBe(0);
    expect(guest.interrupts.line).toBe(false);
    device.inputs = 0;
    expect(guest.takeInterrupts()).toEqual([0]);
  });

  test('is one for two changes before it is cleared', () => {
    const { device, guest } = listening();
    device.inputs = 1;
    device.inputs = 0;
    expect(guest.takeInterrupts()).toEqual([0]);
    expect(guest.interrupts.line).toBe(true);
  });

  test('does not come before it is enabled, nor for what changed then', () => {
    const { device, guest, bar2 } = plug();
    device.inputs = 1;
    bar2.read8(IRQ_CTL);
    expect(bar2.read8(IRQ_STATUS)).toBe(0);
    expect(guest.takeInterrupts()).toEqual([]);
  });

  test('goes away while it is disabled, and comes again', () => {
    const { device, guest, bar2 } = listening();
    device.inputs = 1;
    bar2.write8(IRQ_CTL, 0);
    expect(guest.interrupts.line).toBe(false);
    bar2.read8(IRQ_CTL);
    expect(guest.interrupts.line).toBe(true);
  });

  test('does not reach a guest that has INTx disabled', () => {
    const { device, guest } = listening();
    guest.interrupts.disable();
    device.inputs = 1;
    expect(guest.interrupts.line).toBe(false);
    guest.interrupts.enableIntx();
    expect(guest.interrupts.line).toBe(true);
  });
});

describe('filter', () => {
  test('passes a change that lasts', () => {
    const { vm, device, guest, bar2 } = listening();
    bar2.read8(FILTER_CTL);
    device.inputs = 1;
    vm.advance(FILTER_MS - 1);
    expect(bar2.read8(IN0_7)).toBe(0);
    vm.advance(1);
    expect(bar2.read8(IN0_7)).toBe(1);
    expect(guest.takeInterrupts()).toEqual([0]);
  });

  test('holds back a glitch', () => {
    const { vm, device, guest, bar2 } = listening();
    bar2.read8(FILTER_CTL);
    device.inputs = 1;
    vm.advance(1);
    device.inputs = 0;
    vm.advance(10 * FILTER_MS);
    expect(bar2.read8(IN0_7)).toBe(0);
    expect(guest.takeInterrupts()).toEqual([]);
  });

  test('restarts with each change', () => {
    const { vm, device, bar2 } = listening();
    bar2.read8(FILTER_CTL);
    for (const inputs of [1, 0, 1]) {
      device.inputs = inputs;
      vm.advance(FILTER_MS - 1);
    }
    expect(bar2.read8(IN0_7)).toBe(0);
    vm.advance(1);
    expect(bar2.read8(IN0_7)).toBe(1);
  });

  test('shows the terminals as they are once it is off', () => {
    const { device, bar2 } = listening();
    bar2.read8(FILTER_CTL);
    device.inputs = 1;
    bar2.write8(FILTER_CTL, 0);
    expect(bar2.read8(IN0_7)).toBe(1);
  });
});

test('has its outputs off and its interrupt disabled after a reset, and its inputs as they are', () => {
  const { device, guest, bar2, seen } = listening();
  bar2.write8(OUT0_7, 5);
  device.inputs = 3;
  guest.reset('function');
  expect(seen).toEqual([5, 0]);
  expect(guest.interrupts.line).toBe(false);
  expect(bar2.read8(IN0_7)).toBe(3);
  expect(bar2.read8(IRQ_STATUS)).toBe(0);
});

test('goes on where a snapshot left it, in the middle of a filtered change', () => {
  const { vm, device, guest, bar2 } = listening();
  bar2.write8(OUT8_15, 0x80);
  bar2.read8(FILTER_CTL);
  device.inputs = 1;
  vm.advance(1);
  const again = vm.replug(guest, new GpioIdio16());
  expect(again.bar(Board.BAR).read8(OUT8_15)).toBe(0x80);
  vm.advance(FILTER_MS);
  expect(again.bar(Board.BAR).read8(IN0_7)).toBe(1);
  expect(again.interrupts.line).toBe(true);
});

describe('configuration', () => {
  test('inputs=0x… sets the inputs', () => {
    const { bar2 } = plug({ configuration: ['inputs=0xBEEF'] });
    expect([bar2.read8(IN0_7), bar2.read8(IN8_15)]).toEqual([0xef, 0xbe]);
  });

  test('inputs=0x… does not come back at a reset once the far end changed them', () => {
    const { guest, device, bar2 } = plug({ configuration: ['inputs=0x0001'] });
    device.inputs = 2;
    guest.reset('cold');
    expect(bar2.read8(IN0_7)).toBe(2);
  });

  test('loopback=on wires each output to its input', () => {
    const { guest, bar2 } = plug({ configuration: ['loopback=on'] });
    bar2.read8(IRQ_CTL);
    bar2.write8(OUT8_15, 0x40);
    expect(bar2.read8(IN8_15)).toBe(0x40);
    expect(guest.takeInterrupts()).toEqual([0]);
  });

  test('socket=PATH tells of outputs and sets inputs, line by line', async () => {
    const path = socketPath();
    const { vm, guest, device, bar2 } = plug({ configuration: [`socket=${path}`] });
    bar2.write8(OUT0_7, 2);
    const peer = connect(path);
    let text = '';
    const line = async (end: string): Promise<void> => {
      while (!text.endsWith(end)) {
        await new Promise<void>((resolve) => {
          peer.once('data', (bytes) => {
            text += bytes.toString();
            resolve();
          });
        });
      }
    };
    await line('out 0x0002\n');
    bar2.write8(OUT8_15, 0x80);
    await line('out 0x8002\n');
    peer.write('in 0x0');
    peer.write('101\nup\n');
    await line("error: say 'in 0x0000', not 'up'\n");
    expect(device.inputs).toBe(0x0101);
    const closed = new Promise((resolve) => peer.once('close', resolve));
    vm.unplug(guest);
    await closed;
  });

  test.each(['inputs=12', 'inputs=0x12345', 'loopback=yes', 'socket='])('%s is refused', (text) => {
    expect(() => plug({ configuration: [text] })).toThrow(`Cannot use '${text}'`);
  });
});

test('refuses the state of a version that it does not know, naming both', () => {
  expect(() => new GpioIdio16().restore({ version: 2 })).toThrow(
    new TypeError('Cannot restore GpioIdio16: its state has version 2, this code knows 1'),
  );
});

test('survives a hostile guest', { timeout: FUZZ_TIMEOUT }, () => {
  fuzz(() => new GpioIdio16(), { seed: 10, accesses: FUZZ_ACCESSES });
  fuzz(() => new GpioIdio16(), {
    seed: 11,
    accesses: FUZZ_ACCESSES / 10,
    configuration: ['loopback=on'],
  });
});
