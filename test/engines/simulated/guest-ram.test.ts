import { readSync, writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { GuestRam } from '../../../src/engines/simulated/guest-ram.ts';

const GIB = 1024 ** 3;
const LONG = 4096;

test('what is written is read back, at any alignment and up to the last byte', () => {
  const ram = new GuestRam(8192);
  expect(ram.write(8185, Buffer.from('1234567'))).toBe(true);
  const into = Buffer.alloc(7);
  expect(ram.read(8185, into)).toBe(true);
  expect(into.toString()).toBe('1234567');
});

test('past the end there is no memory: reads give all ones, writes change nothing', () => {
  const ram = new GuestRam(8192);
  const into = Buffer.alloc(8);
  expect(ram.read(8188, into)).toBe(false);
  expect(into).toEqual(Buffer.alloc(8, 0xff));
  expect(ram.write(8188, Buffer.alloc(8, 1))).toBe(false);
  expect(ram.read(8188, into.subarray(0, 4))).toBe(true);
  expect(into.subarray(0, 4)).toEqual(Buffer.alloc(4));
});

test.each([-4, 2 ** 53 - 1, 2 ** 64 - 4, Number.NaN, 0.5])(
  'an access at %s is no memory',
  (gpa) => {
    const ram = new GuestRam(8192);
    expect(ram.read(gpa, Buffer.alloc(4))).toBe(false);
    expect(ram.write(gpa, Buffer.alloc(4))).toBe(false);
    expect(ram.aperture(gpa, 4)).toBeUndefined();
  },
);

test('memory above 3 GiB is found above 4 GiB, with a hole between', () => {
  const ram = new GuestRam(3 * GIB + 8192);
  expect(ram.write(4 * GIB + 8188, Buffer.from('high'))).toBe(true);
  expect(ram.write(4 * GIB + 8189, Buffer.from('high'))).toBe(false);
  expect(ram.write(3 * GIB - 4, Buffer.from('low!'))).toBe(true);
  expect(ram.read(3 * GIB - 2, Buffer.alloc(4))).toBe(false);
  expect(ram.read(3 * GIB, Buffer.alloc(4))).toBe(false);
  expect(ram.aperture(4 * GIB, 8192)?.bytes.toString('latin1', 8188)).toBe('high');
});

test('an aperture is the guest memory itself, both ways', () => {
  const ram = new GuestRam(8192);
  using aperture = ram.aperture(4096, 16);
  aperture?.bytes.write('from device');
  const into = Buffer.alloc(11);
  ram.read(4096, into);
  expect(into.toString()).toBe('from device');
  ram.write(4096, Buffer.from('from driver'));
  expect(aperture?.bytes.toString('latin1', 0, 11)).toBe('from driver');
});

test('after disposal an aperture can be touched, and is no longer the guest', () => {
  const ram = new GuestRam(8192);
  const aperture = ram.aperture(0, 16);
  aperture?.bytes.fill(7);
  aperture?.[Symbol.dispose]();
  aperture?.[Symbol.dispose]();
  expect(aperture?.bytes).toEqual(Buffer.alloc(16));
  aperture?.bytes.fill(9);
  const into = Buffer.alloc(16);
  ram.read(0, into);
  expect(into).toEqual(Buffer.alloc(16, 7));
  expect(ram.apertureCount).toBe(0);
});

test('when the machine goes, every aperture goes with it', () => {
  const ram = new GuestRam(8192);
  const apertures = [ram.aperture(0, 8), ram.aperture(4096, 8)];
  expect(ram.apertureCount).toBe(2);
  ram.revokeAll();
  expect(ram.apertureCount).toBe(0);
  for (const aperture of apertures) expect(aperture?.bytes).toEqual(Buffer.alloc(8));
});

test('read-only memory is read and mapped for reading, not written', () => {
  const ram = new GuestRam(16384, [{ gpa: 4096, length: 4096 }]);
  expect(ram.read(4096, Buffer.alloc(16))).toBe(true);
  expect(ram.write(8191, Buffer.alloc(2))).toBe(false);
  expect(ram.write(4095, Buffer.alloc(2))).toBe(false);
  expect(ram.write(8192, Buffer.alloc(2))).toBe(true);
  expect(ram.aperture(0, 16384)).toBeUndefined();
  expect(ram.aperture(0, 16384, { readOnly: true })?.length).toBe(16384);
});

test('nothing is copied for no bytes, and nothing is mapped', () => {
  const ram = new GuestRam(4096);
  expect(ram.read(2 ** 40, Buffer.alloc(0))).toBe(true);
  expect(ram.write(2 ** 40, Buffer.alloc(0))).toBe(true);
  expect(ram.aperture(0, 0)).toBeUndefined();
});

test.each([0, -4096, 1000, Number.NaN, 2 ** 53])('%s bytes are refused as memory', (size) => {
  expect(() => new GuestRam(size)).toThrow(RangeError);
});

test('threads and devices see the same memory, however each looks at it, while anybody does', () => {
  let ram: GuestRam | undefined = new GuestRam(1 << 20);
  const shared = new Uint8Array(ram.parts[0]!.buffer);
  const bytes = Buffer.alloc(8192, 0x5a);
  shared[4095] = 7;
  using aperture = ram.aperture(4095, 8193);
  expect(aperture?.bytes[0]).toBe(7);
  expect(aperture?.bytes.buffer).toBeInstanceOf(ArrayBuffer);
  ram.write(4096, bytes);
  expect(shared.subarray(4096, 12_288).every((byte) => byte === 0x5a)).toBe(true);
  expect(Buffer.compare(aperture!.bytes.subarray(1), bytes)).toBe(0);
  Atomics.store(new Int32Array(ram.parts[0]!.buffer), 1024, 0x0102_0304);
  expect(ram.read(4096, bytes)).toBe(true);
  expect(bytes.readInt32LE(0)).toBe(0x0102_0304);
  // What is left of the machine is this view.
  ram = undefined;
  aperture!.bytes.fill(1);
  expect(aperture!.bytes.at(-1)).toBe(1);
});

test('memory on a worker is shared until it is asked for otherwise, and the same then', () => {
  const mine = new GuestRam(1 << 16);
  const other = new GuestRam(mine.parts);
  other.usePlainViews();
  other.write(0, Buffer.alloc(LONG, 3));
  const into = Buffer.alloc(LONG);
  mine.read(0, into);
  expect(into.every((byte) => byte === 3)).toBe(true);
});

test.runIf(process.platform === 'linux')(
  'RAM in a file is what other processes read and write by it, until the machine is gone',
  () => {
    const ram = new GuestRam(16384, [], true);
    const fd = ram.parts[0]?.fd as number;
    ram.write(4000, Buffer.from('written here'));
    const read = Buffer.alloc(12);
    expect(readSync(fd, read, 0, 12, 4000)).toBe(12);
    expect(read.toString()).toBe('written here');
    writeSync(fd, 'by the file', 8192);
    expect(ram.read(8192, read.subarray(0, 11))).toBe(true);
    expect(read.toString()).toBe('by the filee');
    ram.revokeAll();
    expect(ram.parts[0]?.fd).toBeUndefined();
    expect(() => readSync(fd, read, 0, 12, 4000)).toThrow('EBADF');
  },
);
