/** Run by heap.test.ts in a process of its own: what ten million accesses that no function serves leave on the heap. */
import { DirectTable } from '../../src/pci/direct-table.ts';

const table = new DirectTable([
  { slot: 0, size: 0x1_0000 },
  { slot: 2, size: 0x1_0000 },
  { slot: 4, size: 0x1_0000 },
]);
let rings = 0;
const ring = (): void => void rings++;
for (const bar of [0, 2]) {
  for (let i = 0; i < 64; i++) {
    table.addDoorbell({ bar, offset: 8 * i, width: 0, value: undefined }, ring);
  }
  table.addDoorbell({ bar, offset: 0x800, width: 4, value: 5n }, ring);
  table.addDoorbellPage(bar, 0x1000, ring);
  const bytes = Buffer.from(new SharedArrayBuffer(0x2000));
  const memory = bytes.buffer as unknown as SharedArrayBuffer;
  const shared = { memory, start: 0, shown: new SharedArrayBuffer(4) };
  table.addRange(bar, 0x4000, { bytes, writable: true, shared });
}

/** Eight accesses, some of which are nobody's. Values stay below 2^31, as a larger one is boxed. */
function accesses(count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i += 8) {
    const bar = (i >>> 3) & 1 ? 2 : 0;
    if (table.ring(bar, 8 * (i & 63), 4, i & 0xff, 0)) sum++;
    if (table.ring(bar, 0x800, 4, 5, 0)) sum++;
    if (table.ring(bar, 0x800, 4, 6, 0)) sum++;
    if (table.ring(bar, 0x1234, 1, 5, 0)) sum++;
    if (table.write(bar, 0x4000 + (i & 0xffc), 4, i & 0xffff)) sum++;
    sum ^= table.read(bar, 0x4000 + (i & 0xffc), 4);
    sum ^= table.read(bar, 0x5000, 2);
    sum ^= table.read(4, 0x100, 4);
  }
  return sum;
}

for (let i = 0; i < 300; i++) accesses(10_000);
globalThis.gc?.();
const before = process.memoryUsage().heapUsed;
const sum = accesses(10_000_000);
// The young generation is so large that nothing was collected: this is all that was allocated.
const grownBytes = process.memoryUsage().heapUsed - before;
console.log(JSON.stringify({ accesses: 10_000_000, grownBytes, sum, rings }));
