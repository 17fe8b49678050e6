import { expect, test } from 'vitest';
import { TableDirectAccess } from '../../src/device-host/table-direct-access.ts';
import { DirectTable } from '../../src/pci/direct-table.ts';

const ROW = { bar: 0, offset: 0x100, count: 3, stride: 8 };

test('a row of doorbells rings by index while it is watched', () => {
  const table = new DirectTable([{ slot: 0, size: 0x4000 }]);
  const direct = new TableDirectAccess(table, () => undefined);
  const rung: number[] = [];
  const watch = direct.watchDoorbells(ROW, (index) => rung.push(index));
  for (const offset of [0x110, 0x100, 0x104]) table.ring(0, offset, 2, 7, 0);
  expect(rung).toEqual([2, 0]);
  watch[Symbol.dispose]();
  watch[Symbol.dispose]();
  expect([table.ring(0, 0x100, 4, 7, 0), table.doorbellCount]).toEqual([false, 0]);
});

test('a row is watched as far as it can be, and left alone from there on', () => {
  const table = new DirectTable([{ slot: 0, size: 0x4000 }]);
  table.addDoorbell({ bar: 0, offset: 0x110, width: 4, value: 5n }, () => {});
  const direct = new TableDirectAccess(table, () => undefined);
  const watch = direct.watchDoorbells(ROW, () => {});
  expect(table.doorbellCount).toBe(3);
  watch[Symbol.dispose]();
  expect(table.ring(0, 0x110, 4, 5, 0)).toBe(true);
});

test('memory is shown and hidden where it is ready, and nowhere else', () => {
  const table = new DirectTable([{ slot: 0, size: 0x4000 }]);
  const bytes = Buffer.alloc(4096);
  const direct = new TableDirectAccess(table, (bar, offset) =>
    bar === 0 && offset === 0x1000 ? { bytes, writable: true } : undefined,
  );
  expect(direct.barMemory(4096, 0, 0x2000)).toBeUndefined();
  const memory = direct.barMemory(4096, 0, 0x1000)!;
  expect(table.read(0, 0x1000, 4)).toBe(-1);
  const shown = memory.show(0, 0x1000);
  memory.bytes.writeUInt32LE(0xcafe, 0);
  expect(table.read(0, 0x1000, 4)).toBe(0xcafe);
  // Somebody else is there.
  const again = memory.show(0, 0x1000);
  again[Symbol.dispose]();
  expect(table.rangeCount).toBe(1);
  shown[Symbol.dispose]();
  shown[Symbol.dispose]();
  expect(table.rangeCount).toBe(0);
});
