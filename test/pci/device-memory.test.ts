import { expect, test } from 'vitest';
import { powerManagement } from '../../src/device/capabilities.ts';
import { PciDevice } from '../../src/device/pci-device.ts';
import type { ResetKind } from '../../src/device/services.ts';
import { attach, identity, ON } from './attached.ts';
import { RecordingHost } from './recording-host.ts';

class Dma extends PciDevice {
  override readonly identity = identity;
  override readonly capabilities = [powerManagement()];
}

test('copies to and from guest memory', () => {
  const { device, host } = attach(new Dma());
  expect(device.memory.write(0x1000, Buffer.from('hello'))).toBe(true);
  expect(host.ram.toString('latin1', 0x1000, 0x1005)).toBe('hello');
  const into = Buffer.alloc(4);
  expect(device.memory.read(0x1001, into)).toBe(true);
  expect(into.toString()).toBe('ello');
  expect(host.guestErrors).toEqual([]);
});

test('maps guest memory in place until it is disposed', () => {
  const { device, host } = attach(new Dma());
  {
    using ring = device.memory.aperture(0x2000, 16);
    ring?.bytes.write('ring');
    expect(ring).toMatchObject({ gpa: 0x2000, length: 16 });
    expect(host.openApertures).toBe(1);
  }
  expect(host.ram.toString('latin1', 0x2000, 0x2004)).toBe('ring');
  expect(host.openApertures).toBe(0);
});

test('disposes an aperture once, however often it is asked', () => {
  const { device, host } = attach(new Dma());
  const ring = device.memory.aperture(0, 16);
  ring?.[Symbol.dispose]();
  ring?.[Symbol.dispose]();
  expect(host.openApertures).toBe(0);
});

test.each([
  ['is past the end of memory', 0x1_0000 - 2],
  ['is where no address is', 2 ** 53 - 2],
  ['wraps around past 2^53', 2 ** 53 - 1],
  ['is beyond 2^53', 2 ** 60],
  ['wraps around past 2^64', 2 ** 64 - 1],
  ['is negative', -4],
  ['is a fraction', 0.5],
  ['is no number', Number.NaN],
])('gives ones and counts the guest’s error when the address %s', (_, gpa) => {
  const { device, host } = attach(new Dma());
  const into = Buffer.alloc(4);
  expect(device.memory.read(gpa, into)).toBe(false);
  expect(into.readUInt32LE()).toBe(0xffff_ffff);
  host.ram.fill(0x11);
  expect(device.memory.write(gpa, into)).toBe(false);
  expect(host.ram.every((byte) => byte === 0x11)).toBe(true);
  expect(device.memory.aperture(gpa, 4)).toBeUndefined();
  expect(host.guestErrors).toHaveLength(3);
});

test('says what it could not do with memory that is not there', () => {
  const { device, host } = attach(new Dma());
  const hole = 0x1_0000 - 0x10;
  device.memory.aperture(hole, 0x20);
  device.memory.aperture(hole, 0x20, { readOnly: true });
  device.memory.read(hole, Buffer.alloc(0x20));
  device.memory.write(hole, Buffer.alloc(0x20));
  expect(host.guestErrors).toEqual([
    'Cannot map 32 bytes at 0xfff0: not all of it is memory that can be mapped for writing',
    'Cannot map for reading 32 bytes at 0xfff0: not all of it is memory that can be mapped',
    'Cannot read 32 bytes at 0xfff0: not all of it is memory',
    'Cannot write 32 bytes at 0xfff0: not all of it is writable memory',
  ]);
});

test('touches nothing and says yes for no bytes', () => {
  const { device, host, fn } = attach(new Dma());
  fn.writeConfigSpace(0x04, 0);
  for (const gpa of [0, 0x1_0000, 2 ** 60, -1]) {
    expect(device.memory.read(gpa, Buffer.alloc(0))).toBe(true);
    expect(device.memory.write(gpa, Buffer.alloc(0))).toBe(true);
    expect(device.memory.aperture(gpa, 0)?.bytes.length).toBe(0);
  }
  expect([host.touched, host.guestErrors]).toEqual([[], []]);
});

test('reaches no memory while bus mastering is off', () => {
  const { device, host, fn } = attach(new Dma());
  fn.writeConfigSpace(0x04, 0x2);
  const into = Buffer.alloc(2);
  expect(device.memory.read(0, into)).toBe(false);
  expect(device.memory.write(0, into)).toBe(false);
  expect(device.memory.aperture(0, 2)).toBeUndefined();
  expect([...into]).toEqual([0xff, 0xff]);
  expect(host.touched).toEqual([]);
  expect(host.guestErrors[0]).toBe('Cannot read 2 bytes at 0x0: bus mastering is off');
  fn.writeConfigSpace(0x04, ON);
  expect(device.memory.read(0, into)).toBe(true);
});

test('goes on reaching memory mapped before bus mastering went off, until a reset', () => {
  const { fn, device, host } = attach(new Dma());
  const ring = device.memory.aperture(0x2000, 4);
  fn.writeConfigSpace(0x04, 0x2);
  ring?.bytes.write('late');
  expect(host.ram.toString('latin1', 0x2000, 0x2004)).toBe('late');
  expect(device.memory.aperture(0x2000, 4)).toBeUndefined();
  expect(device.memory.write(0x2000, Buffer.from('copy'))).toBe(false);
  expect(host.openApertures).toBe(1);
  fn.reset('function');
  expect(host.openApertures).toBe(0);
});

test('reaches memory from start to stop where command register writes may be lost', () => {
  const host = new RecordingHost({ commandRegister: 'unreliable' });
  const { device, fn } = attach(new Dma(), { host, command: 0 });
  expect(device.memory.read(0, Buffer.alloc(2))).toBe(true);
  fn.stop();
  expect(device.memory.read(0, Buffer.alloc(2))).toBe(false);
});

test('reaches no memory in D3hot', () => {
  const { device, fn, host } = attach(new Dma());
  fn.writeConfigSpace(0x44, 3);
  expect(device.memory.read(0, Buffer.alloc(2))).toBe(false);
  expect(host.guestErrors).toEqual(['Cannot read 2 bytes at 0x0: the function is in D3hot']);
  fn.writeConfigSpace(0x44, 0);
  expect(device.memory.read(0, Buffer.alloc(2))).toBe(true);
});

test.each([
  ['stop', (fn: ReturnType<typeof attach>['fn']) => fn.stop()],
  ['teardown', (fn: ReturnType<typeof attach>['fn']) => fn.teardown()],
  ['reset', (fn: ReturnType<typeof attach>['fn']) => fn.reset('function' satisfies ResetKind)],
])('takes apertures back at %s; their bytes can still be touched', (_, end) => {
  const { device, host, fn } = attach(new Dma());
  const first = device.memory.aperture(0, 16);
  const second = device.memory.aperture(0x100, 16);
  end(fn);
  expect(host.openApertures).toBe(0);
  expect(() => first?.bytes.fill(1)).not.toThrow();
  expect(() => second?.[Symbol.dispose]()).not.toThrow();
  expect(host.openApertures).toBe(0);
});

test('reports the first guest errors, then ever fewer, and counts all', () => {
  const { device, host, fn } = attach(new Dma());
  for (let i = 0; i < 1000; i++) device.guestError(`wrong ${i}`);
  expect(fn.guestErrors).toBe(1000);
  const counts = host.notices.map((notice) => (notice.type === 'guestError' ? notice.count : 0));
  expect(counts.slice(0, 16)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
  expect(counts.slice(16)).toEqual([32, 64, 128, 256, 512]);
});
