import { expect, test } from 'vitest';
import { powerManagement } from '../../src/device/capabilities.ts';
import { intx } from '../../src/device/interrupts.ts';
import { PciDevice } from '../../src/device/pci-device.ts';
import { PciFunction } from '../../src/pci/pci-function.ts';
import { attach, identity, ON } from './attached.ts';
import { RecordingHost } from './recording-host.ts';

class Level extends PciDevice {
  override readonly identity = identity;
  override readonly interrupts = intx();
  override readonly capabilities = [powerManagement()];
}

const DISABLE = 0x400;
const status = (fn: PciFunction): boolean => (fn.readConfigSpace(0x04) & (0x8 << 16)) !== 0;

test('uses pin A', () => {
  const { fn } = attach(new Level());
  expect((fn.readConfigSpace(0x3c) >>> 8) & 0xff).toBe(1);
});

test('drives the line on changes of level only', () => {
  const { fn, device, host } = attach(new Level());
  device.interrupts.assert();
  device.interrupts.assert();
  expect(status(fn)).toBe(true);
  device.interrupts.deassert();
  device.interrupts.deassert();
  expect([host.line, status(fn)]).toEqual([[true, false], false]);
});

test('shows its status but lets go of the line while the guest disables it', () => {
  const { fn, device, host } = attach(new Level());
  fn.writeConfigSpace(0x04, ON | DISABLE);
  device.interrupts.assert();
  expect([host.line, status(fn)]).toEqual([[], true]);
  fn.writeConfigSpace(0x04, ON);
  fn.writeConfigSpace(0x04, ON | DISABLE);
  expect([host.line, status(fn)]).toEqual([[true, false], true]);
});

test('lets go of the line at reset, at stop, and in D3hot', () => {
  const { fn, device, host } = attach(new Level());
  device.interrupts.assert();
  fn.writeConfigSpace(0x44, 3);
  fn.writeConfigSpace(0x44, 0);
  expect(host.line).toEqual([true, false, true]);
  fn.stop();
  fn.start();
  expect(host.line.slice(3)).toEqual([false, true]);
  fn.reset('function');
  expect([host.line.slice(5), status(fn)]).toEqual([[false], false]);
});

test('does not show, at reset, a line that the guest had disabled', () => {
  const { fn, device, host } = attach(new Level());
  fn.writeConfigSpace(0x04, ON | DISABLE);
  device.interrupts.assert();
  fn.reset('function');
  expect([host.line, status(fn)]).toEqual([[], false]);
});

test('comes back from a snapshot with its level', () => {
  const before = attach(new Level());
  before.device.interrupts.assert();
  const after = attach(new Level());
  after.fn.restore(JSON.parse(JSON.stringify(before.fn.save())));
  expect([after.host.line, status(after.fn)]).toEqual([[true], true]);
});

test('cannot be connected to a host without INTx', () => {
  const fn = new PciFunction(new Level());
  expect(() => fn.connect(new RecordingHost({ intx: false }))).toThrow(
    'Cannot connect Level: it interrupts by INTx, which this host does not have; use msix() or msi()',
  );
});
