import { expect, test } from 'vitest';
import { DescriptorFlag } from '../../devices/virtio/registers.ts';
import { SplitQueue } from '../../devices/virtio/split-queue.ts';
import { GuestRam } from '../../src/engines/simulated/guest-ram.ts';

const TABLE = 0x1000;
const INDIRECT = 0x1800;
const AVAILABLE = 0x2000;
const USED = 0x3000;

/** Memory whose page 1 and 2 may only be read, with one request of one buffer in an indirect table. */
function prepared(): { ram: GuestRam; queue: SplitQueue } {
  const ram = new GuestRam(0x10_0000, [{ gpa: 0x1000, length: 0x2000 }]);
  const queue = new SplitQueue(0, 8);
  queue.descriptors = TABLE;
  queue.available = AVAILABLE;
  queue.used = USED;
  const bytes = ram.aperture(0, 0x4000, { readOnly: true })!.bytes;
  bytes.writeUInt32LE(INDIRECT, TABLE);
  bytes.writeUInt32LE(16, TABLE + 8);
  bytes.writeUInt16LE(DescriptorFlag.INDIRECT, TABLE + 12);
  bytes.writeUInt32LE(0x8000, INDIRECT);
  bytes.writeUInt32LE(4, INDIRECT + 8);
  bytes.writeUInt16LE(1, AVAILABLE + 2);
  return { ram, queue };
}

test('serves a driver whose descriptors and available ring may only be read', () => {
  const { ram, queue } = prepared();
  expect(ram.aperture(TABLE, 16)).toBeUndefined();
  expect(queue.drain(ram, (chain) => chain.length[0]!)).toBe(true);
  const used = Buffer.alloc(12);
  ram.read(USED, used);
  expect([used.readUInt16LE(2), used.readUInt32LE(4), used.readUInt32LE(8)]).toEqual([1, 0, 4]);
});

test('refuses a used ring that may only be read', () => {
  const { ram, queue } = prepared();
  queue.used = TABLE + 0x400;
  expect(() => queue.drain(ram, () => 0)).toThrow('the used ring at 0x1400 is not memory');
});
