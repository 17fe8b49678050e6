import fc from 'fast-check';
import { expect, test } from 'vitest';
import { msix } from '../../src/device/interrupts.ts';
import { PciDevice } from '../../src/device/pci-device.ts';
import type { PciFunction } from '../../src/pci/pci-function.ts';
import { attach, identity, ON } from './attached.ts';
import type { RecordingHost } from './recording-host.ts';

class Interrupting extends PciDevice {
  override readonly identity = identity;
  override readonly interrupts;

  constructor(count = 4) {
    super();
    this.interrupts = msix(count);
  }
}

const ENABLE = 0x8000_0000;
const FUNCTION_MASK = 0x4000_0000;

function place(fn: PciFunction) {
  const { interrupts } = fn.shape;
  if (interrupts.kind !== 'msix') throw new Error('The function has no MSI-X');
  return interrupts;
}

/** Vector v sends 0x41 + v to 0xfee0_0000. */
function program(fn: PciFunction, vector: number, { masked = false } = {}): void {
  const { table } = place(fn);
  const entry = table.offset + vector * 16;
  fn.writeInterceptedMemory(table.bar, entry, 4, 0xfee0_0000);
  fn.writeInterceptedMemory(table.bar, entry + 4, 4, 0);
  fn.writeInterceptedMemory(table.bar, entry + 8, 4, 0x41 + vector);
  fn.writeInterceptedMemory(table.bar, entry + 12, 4, masked ? 1 : 0);
}

const control = (fn: PciFunction, value: number): void =>
  fn.writeConfigSpace(place(fn).capability, value);

function pending(fn: PciFunction, word = 0): number {
  const { pendingBits } = place(fn);
  return fn.readInterceptedMemory(pendingBits.bar, pendingBits.offset + word * 4, 4);
}

const vectors = (host: RecordingHost): number[] =>
  host.takeMessages().map(([, data]) => data - 0x41);

function enabled(count?: number) {
  const attached = attach(new Interrupting(count));
  for (let vector = 0; vector < (count ?? 4); vector++) program(attached.fn, vector);
  control(attached.fn, ENABLE);
  return attached;
}

test('shows its table in a capability', () => {
  const { fn } = attach(new Interrupting(5));
  const { capability, table, pendingBits } = place(fn);
  expect(fn.readConfigSpace(capability) & 0xff).toBe(0x11);
  expect(fn.readConfigSpace(capability) >>> 16).toBe(4);
  expect(fn.readConfigSpace(capability + 4)).toBe(table.offset | table.bar);
  expect(fn.readConfigSpace(capability + 8)).toBe(pendingBits.offset | pendingBits.bar);
});

test('sends what the guest programmed', () => {
  const { fn, device, host } = enabled();
  fn.setMsixEntry(1, 0x12_fee0_1000, 0x9999, false);
  device.interrupts.raise(1);
  device.interrupts.raise(3);
  expect(host.takeMessages()).toEqual([
    [0x12_fee0_1000, 0x9999],
    [0xfee0_0000, 0x44],
  ]);
  expect(pending(fn)).toBe(0);
});

test('masks every entry after reset, so what is raised before it was programmed waits', () => {
  const { fn, device, host } = attach(new Interrupting());
  control(fn, ENABLE);
  device.interrupts.raise(2);
  expect([host.takeMessages(), pending(fn)]).toEqual([[], 4]);
  program(fn, 2);
  expect([vectors(host), pending(fn)]).toEqual([[2], 0]);
});

test('keeps one pending bit however often a masked vector is raised', () => {
  const { fn, device, host } = enabled();
  program(fn, 0, { masked: true });
  for (let i = 0; i < 3; i++) device.interrupts.raise(0);
  device.interrupts.raise(1);
  expect([vectors(host), pending(fn)]).toEqual([[1], 1]);
  program(fn, 0);
  expect(vectors(host)).toEqual([0]);
});

test('sends all that is pending, lowest first, when the function mask is cleared', () => {
  const { fn, device, host } = enabled();
  control(fn, ENABLE | FUNCTION_MASK);
  for (const vector of [3, 0, 2]) device.interrupts.raise(vector);
  expect([vectors(host), pending(fn)]).toEqual([[], 0b1101]);
  control(fn, ENABLE);
  expect([vectors(host), pending(fn)]).toEqual([[0, 2, 3], 0]);
});

test('loses what is raised while disabled, and keeps what was pending', () => {
  const { fn, device, host } = enabled();
  program(fn, 0, { masked: true });
  device.interrupts.raise(0);
  control(fn, 0);
  device.interrupts.raise(1);
  program(fn, 0);
  expect([vectors(host), pending(fn)]).toEqual([[], 1]);
  control(fn, ENABLE);
  expect(vectors(host)).toEqual([0]);
});

test('holds messages while bus mastering is off', () => {
  const { fn, device, host } = enabled();
  fn.writeConfigSpace(0x04, 0x2);
  device.interrupts.raise(1);
  expect([vectors(host), pending(fn)]).toEqual([[], 2]);
  fn.writeConfigSpace(0x04, ON);
  expect(vectors(host)).toEqual([1]);
});

test('takes a pending bit back when its cause is gone', () => {
  const { fn, device, host } = enabled();
  program(fn, 0, { masked: true });
  device.interrupts.raise(0);
  device.interrupts.withdraw(0);
  expect(pending(fn)).toBe(0);
  program(fn, 0);
  expect(vectors(host)).toEqual([]);
});

test('has pending bits for 2048 vectors that guests cannot write', () => {
  const { fn, device, host } = attach(new Interrupting(2048));
  control(fn, ENABLE);
  for (const vector of [0, 31, 32, 1000, 2047]) device.interrupts.raise(vector);
  expect([0, 1, 31, 63].map((word) => pending(fn, word))).toEqual([
    0x8000_0001, 1, 0x100, 0x8000_0000,
  ]);
  const { pendingBits } = place(fn);
  fn.writeInterceptedMemory(pendingBits.bar, pendingBits.offset, 4, 0);
  expect(pending(fn)).toBe(0x8000_0001);
  program(fn, 2047);
  expect(vectors(host)).toEqual([2047]);
});

test('keeps address bits 0 and 1 and reserved control bits at 0', () => {
  const { fn } = attach(new Interrupting());
  const { table } = place(fn);
  for (let offset = 0; offset < 16; offset += 4) {
    fn.writeInterceptedMemory(table.bar, table.offset + offset, 4, 0xffff_ffff);
  }
  const entry = [0, 4, 8, 12].map((offset) =>
    fn.readInterceptedMemory(table.bar, table.offset + offset, 4),
  );
  expect(entry).toEqual([0xffff_fffc, 0xffff_ffff, 0xffff_ffff, 1]);
});

test('merges narrow and misaligned accesses of the table', () => {
  const { fn } = attach(new Interrupting());
  const { table } = place(fn);
  const at = (offset: number): number => table.offset + offset;
  fn.writeInterceptedMemory(table.bar, at(4), 4, 0x1122_3344);
  fn.writeInterceptedMemory(table.bar, at(5), 1, 0xaa);
  fn.writeInterceptedMemory(table.bar, at(6), 4, 0x5566_7788);
  expect(fn.readInterceptedMemory(table.bar, at(4), 4)).toBe(0x7788_aa44);
  expect(fn.readInterceptedMemory(table.bar, at(8), 2)).toBe(0x5566);
  expect(fn.readInterceptedMemory(table.bar, at(6), 4)).toBe(0x5566_7788);
});

test('forgets everything at reset', () => {
  const { fn, device, host } = enabled();
  control(fn, ENABLE | FUNCTION_MASK);
  device.interrupts.raise(0);
  fn.reset('function');
  fn.writeConfigSpace(0x04, ON);
  expect(pending(fn)).toBe(0);
  control(fn, ENABLE);
  device.interrupts.raise(1);
  expect(vectors(host)).toEqual([]);
});

test('sends nothing once stopped', () => {
  const { fn, device, host } = enabled();
  fn.stop();
  device.interrupts.raise(0);
  fn.start();
  expect(vectors(host)).toEqual([]);
});

test('lets a host write an entry while the guest has decoding off', () => {
  const { fn, device, host } = attach(new Interrupting(), { command: 0x4 });
  control(fn, ENABLE);
  device.interrupts.raise(0);
  fn.setMsixEntry(0, 0x1000, 7, false);
  expect(host.takeMessages()).toEqual([[0x1000, 7]]);
  expect(() => fn.setMsixEntry(4, 0, 0, false)).toThrow('Cannot set MSI-X entry 4');
});

/** What PCIe 6.0, 6.1.4 says, in ten lines. */
class Model {
  masked = [true, true, true];
  functionMask = false;
  enabled = false;
  mastering = true;
  pending = [false, false, false];
  sent: number[] = [];

  settle(): void {
    if (!this.enabled || this.functionMask || !this.mastering) return;
    for (const [vector, isPending] of this.pending.entries()) {
      if (!isPending || this.masked[vector]) continue;
      this.pending[vector] = false;
      this.sent.push(vector);
    }
  }
}

test('follows the specification through any sequence of raising, masking and enabling', () => {
  const vector = fc.integer({ min: 0, max: 2 });
  const step = fc.oneof(
    fc.tuple(fc.constant('raise' as const), vector, fc.boolean()),
    fc.tuple(fc.constant('withdraw' as const), vector, fc.boolean()),
    fc.tuple(fc.constant('mask' as const), vector, fc.boolean()),
    fc.tuple(fc.constant('functionMask' as const), vector, fc.boolean()),
    fc.tuple(fc.constant('enable' as const), vector, fc.boolean()),
    fc.tuple(fc.constant('mastering' as const), vector, fc.boolean()),
    fc.tuple(fc.constant('restore' as const), vector, fc.boolean()),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { fn, device, host } = attach(new Interrupting(3));
      const model = new Model();
      const writeControl = (): void =>
        control(
          fn,
          ((model.enabled ? ENABLE : 0) | (model.functionMask ? FUNCTION_MASK : 0)) >>> 0,
        );
      for (let v = 0; v < 3; v++) program(fn, v, { masked: true });
      for (const [what, v, on] of steps) {
        if (what === 'raise') {
          if (model.enabled) model.pending[v] = true;
          device.interrupts.raise(v);
        } else if (what === 'withdraw') {
          model.pending[v] = false;
          device.interrupts.withdraw(v);
        } else if (what === 'mask') {
          model.masked[v] = on;
          program(fn, v, { masked: on });
        } else if (what === 'mastering') {
          model.mastering = on;
          fn.writeConfigSpace(0x04, on ? ON : 0x2);
        } else if (what === 'restore') {
          fn.restore(JSON.parse(JSON.stringify(fn.save())));
        } else {
          model[what === 'enable' ? 'enabled' : 'functionMask'] = on;
          writeControl();
        }
        model.settle();
        expect(vectors(host)).toEqual(model.sent.splice(0));
        const bits = model.pending.reduce((sum, isSet, at) => sum | (isSet ? 1 << at : 0), 0);
        expect(pending(fn)).toBe(bits);
      }
    }),
    { numRuns: 200 },
  );
});
