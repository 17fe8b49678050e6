import { expect, test } from 'vitest';
import { intx, msi, msix } from '../../src/device/interrupts.ts';
import { isPciDevice, isPciDeviceClass, PciDevice } from '../../src/device/pci-device.ts';

class Plain extends PciDevice {
  override readonly identity = { vendorId: 1, deviceId: 2, classCode: 0 };
}

test.each([
  ['memory.read', (d: PciDevice) => d.memory.read(0, Buffer.alloc(4))],
  ['memory.write', (d: PciDevice) => d.memory.write(0, Buffer.alloc(4))],
  ['memory.aperture', (d: PciDevice) => d.memory.aperture(0, 4)],
  ['clock.after', (d: PciDevice) => d.clock.after(1, () => {})],
  ['clock.now', (d: PciDevice) => d.clock.now],
  ['guestError', (d: PciDevice) => d.guestError('x')],
])('says that %s needs a host, before there is one', (name, use) => {
  expect(() => use(new Plain())).toThrow(`Cannot use ${name}: the device is not attached`);
});

test.each([
  ['raise vector 1', () => msix(2).raise(1)],
  ['raise vector 0', () => msi(1).raise(0)],
  ['withdraw vector 0', () => msix(1).withdraw(0)],
  ['assert INTx', () => intx().assert()],
  ['deassert INTx', () => intx().deassert()],
])('cannot %s before there is a host', (what, use) => {
  expect(use).toThrow(`Cannot ${what}: the device is not attached`);
});

test.each([2, -1, 0.5, Number.NaN])('refuses vector %d of two', (vector) => {
  expect(() => msix(2).raise(vector)).toThrow(`Cannot raise vector ${vector}: the device has 2`);
});

test('offers up to 2048 vectors by MSI-X, and 32 by MSI', () => {
  expect([msix(2048).count, msi(32).count]).toEqual([2048, 32]);
  for (const count of [0, 2049, 1.5]) expect(() => msix(count)).toThrow('counts are 1 to 2048');
  for (const count of [0, 33]) expect(() => msi(count)).toThrow('counts are 1 to 32');
});

test('takes no configuration unless it says otherwise', () => {
  expect(() => new Plain().configure([])).not.toThrow();
  expect(() => new Plain().configure(['speed=9'])).toThrow(
    'Cannot configure Plain with "speed=9": it takes no configuration',
  );
});

test('is recognised, instance and class, without being constructed', () => {
  expect([isPciDevice(new Plain()), isPciDevice({}), isPciDevice(null)]).toEqual([
    true,
    false,
    false,
  ]);
  expect(isPciDeviceClass(Plain)).toBe(true);
  for (const other of [class {}, () => {}, Map, undefined, {}]) {
    expect(isPciDeviceClass(other)).toBe(false);
  }
});
