/** Run by heap.test.ts in a process of its own: what ten million accesses leave on the heap. */
import { mmio } from '../../src/device/bar.ts';
import { PciDevice } from '../../src/device/pci-device.ts';
import { ram } from '../../src/device/ram.ts';
import { gpa, u16, u32 } from '../../src/device/register.ts';
import { registerMap } from '../../src/device/register-map.ts';
import { attach, identity } from './attached.ts';

const MAP = registerMap({
  PLAIN: u32(0x0),
  HOOKED: u32(0x4),
  CAUSE: u32(0x8, { access: 'w1c' }),
  HALF: u16(0xc),
  RING: gpa(0x10),
});

class Busy extends PciDevice {
  override readonly identity = identity;
  #last = 0;
  readonly regs = MAP.bind({
    HOOKED: {
      read: () => this.#last,
      write: (value) => {
        this.#last = value;
      },
    },
  });
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs, 2048: ram(0x100) }) };
}

const { fn } = attach(new Busy());

/** Eight accesses: plain, hooked, masked, narrow, misaligned, RAM. Values stay below 2^31, as a larger one is boxed. */
function accesses(count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i += 8) {
    fn.writeInterceptedMemory(0, 0x0, 4, i & 0xffff);
    sum ^= fn.readInterceptedMemory(0, 0x0, 4);
    fn.writeInterceptedMemory(0, 0x4, 4, i & 0xff);
    sum ^= fn.readInterceptedMemory(0, 0x4, 4);
    fn.writeInterceptedMemory(0, 0x8, 4, 1);
    sum ^= fn.readInterceptedMemory(0, 0xc, 2);
    fn.writeInterceptedMemory(0, 0x12, 4, 5);
    sum ^= fn.readInterceptedMemory(0, 0x810, 1);
  }
  return sum;
}

for (let i = 0; i < 50; i++) accesses(10_000);
globalThis.gc?.();
const before = process.memoryUsage().heapUsed;
const sum = accesses(10_000_000);
// The young generation is so large that nothing was collected: this is all that was allocated.
const grownBytes = process.memoryUsage().heapUsed - before;
console.log(JSON.stringify({ accesses: 10_000_000, grownBytes, sum }));
