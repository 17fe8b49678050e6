import { mmio, PciDevice, registerMap, u32 } from 'hdvkit';
import { expect, test } from 'vitest';
import { PciFunction } from '../../src/pci/pci-function.ts';
import { RecordingHost } from './recording-host.ts';

const REGS = registerMap({ SPEED: u32(0), SCRATCH: u32(4) });

class Configured extends PciDevice {
  override readonly identity = { vendorId: 1, deviceId: 2, classCode: 0xff0000 };
  readonly regs = REGS.bind();
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };

  override configure([speed]: readonly string[]): void {
    this.regs.SPEED = Number(speed ?? 0);
  }
}

test('configuration that a device keeps in registers outlasts resets, and ends with the machine', () => {
  const device = new Configured();
  const fn = new PciFunction(device);
  fn.connect(new RecordingHost());
  fn.initialize();
  fn.setConfiguration(['7']);
  fn.start();
  for (const kind of ['cold', 'function'] as const) {
    device.regs.SCRATCH = 1;
    fn.reset(kind);
    expect([device.regs.SPEED, device.regs.SCRATCH]).toEqual([7, 0]);
  }
  fn.teardown();
  fn.initialize();
  expect(device.regs.SPEED).toBe(0);
});
