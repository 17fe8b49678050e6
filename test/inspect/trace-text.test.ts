import { describe, expect, test } from 'vitest';
import { mmio } from '../../src/device/bar.ts';
import { bit, bits } from '../../src/device/bit-field.ts';
import { doorbells } from '../../src/device/doorbells.ts';
import { ram } from '../../src/device/ram.ts';
import { gpa, u16, u32 } from '../../src/device/register.ts';
import { registerMap } from '../../src/device/register-map.ts';
import { BarNames } from '../../src/inspect/bar-names.ts';
import { Coverage } from '../../src/inspect/coverage.ts';
import { TraceKind, type TraceRecord } from '../../src/inspect/trace-ring.ts';
import { formatTraceRecord } from '../../src/inspect/trace-text.ts';

const MAP = registerMap({
  CONTROL: u32(0x0, { fields: { RUN: bit(0), MODE: bits(4, 2), HIGH: bits(16, 8) } }),
  CHANNEL: u16(0x10, { count: 4, stride: 4 }),
  TARGET: gpa(0x20),
});

const bars = new BarNames(
  {
    0: mmio(0x4000, {
      0: MAP.bind({}),
      4096: ram(64),
      8192: doorbells({ count: 4, stride: 8, ring: () => undefined }),
    }),
  },
  {
    kind: 'msix',
    count: 2,
    capability: 0x40,
    table: { bar: 1, offset: 0 },
    pendingBits: { bar: 1, offset: 0x800 },
  },
);

const record = (changes: Partial<TraceRecord>): TraceRecord => ({
  kind: TraceKind.BAR_WRITE,
  time: 0,
  slot: 0,
  location: 0,
  length: 4,
  value: 0,
  ...changes,
});
const line = (changes: Partial<TraceRecord>): string =>
  formatTraceRecord(record(changes), { bars, capabilities: [] });

describe('a trace line', () => {
  test('names the register and the fields of a write', () => {
    expect(line({ value: 0x0012_0031 })).toBe('write  CONTROL 0x00120031 RUN=1 MODE=3 HIGH=0x12');
  });

  test('shows of a narrow access the fields that it covers', () => {
    expect(line({ kind: TraceKind.BAR_READ, location: 2, length: 1, value: 0x12 })).toBe(
      'read   CONTROL+2 0x12 (1 bytes) HIGH=0x12',
    );
  });

  test('names the doorbell that rang without an access', () => {
    expect(line({ kind: TraceKind.DOORBELL, location: 8192 + 16, length: 0 })).toBe(
      'ring   doorbell[2]',
    );
  });

  test('numbers the elements of an array', () => {
    expect(line({ location: 0x1c, length: 2, value: 7 })).toBe('write  CHANNEL[3] 0x0007');
  });

  test('says which half of a 64-bit register is written', () => {
    expect(line({ location: 0x24, value: 1 })).toBe('write  TARGET+4 0x00000001 (4 bytes)');
  });

  test('names memory, doorbells, and the MSI-X structures', () => {
    expect(line({ location: 0x1010, length: 1, value: 1 })).toBe('write  ram+0x10 0x01');
    expect(line({ location: 0x2018, value: 9 })).toBe('write  doorbell[3] 0x00000009');
    expect(line({ slot: 1, location: 0x18, value: 0x21 })).toBe(
      'write  MSIX_TABLE[1].DATA 0x00000021',
    );
    expect(line({ kind: TraceKind.BAR_READ, slot: 1, location: 0x800 })).toBe(
      'read   MSIX_PENDING 0x00000000',
    );
  });

  test('says of a hole that it is not modelled', () => {
    expect(line({ location: 0x104, value: 1 })).toBe('write  BAR0+0x104 0x00000001 (not modelled)');
  });

  test('names config registers, standard ones and those of capabilities', () => {
    const capabilities = [{ offset: 0x40, id: 17, name: 'MSI-X', fields: {} }];
    const config = (location: number, length: number): string =>
      formatTraceRecord(record({ kind: TraceKind.CONFIG_READ, location, length, value: 6 }), {
        bars,
        capabilities,
      });
    expect(config(4, 2)).toBe('config read  COMMAND 0x0006 memorySpace busMaster');
    expect(config(0x42, 2)).toBe('config read  MSI-X+0x02 0x0006');
  });

  test('shows DMA, interrupts and resets', () => {
    expect(line({ kind: TraceKind.DMA_READ, location: 0x1_0000_0000, length: 512, value: 1 })).toBe(
      'dma    512 bytes from 0x100000000',
    );
    expect(line({ kind: TraceKind.DMA_WRITE, location: 0x1000, length: 8, value: 0 })).toBe(
      'dma    8 bytes to 0x1000 refused',
    );
    expect(line({ kind: TraceKind.INTERRUPT, location: 1 })).toBe('irq    vector 1 raised');
    expect(line({ kind: TraceKind.INTERRUPT_LINE, value: 1 })).toBe('irq    INTx asserted');
    expect(line({ kind: TraceKind.RESET, location: 1 })).toBe('reset  function');
  });
});

describe('coverage', () => {
  test('lists what a driver touched and the device does not model, once each', () => {
    const coverage = new Coverage(bars);
    coverage.add(record({ location: 0 }));
    coverage.add(record({ location: 0x104, value: 5 }));
    coverage.add(record({ location: 0x104, value: 6 }));
    coverage.add(record({ kind: TraceKind.BAR_READ, location: 0x80, length: 1 }));
    coverage.add(record({ kind: TraceKind.CONFIG_READ, location: 0x104 }));
    expect(coverage.format()).toBe(
      [
        'Touched by the driver, and not modelled:',
        '  BAR0+0x80  1 bytes  1 reads, 0 writes',
        '  BAR0+0x104  4 bytes  0 reads, 2 writes, last written 0x6',
      ].join('\n'),
    );
  });

  test('says so when everything is modelled', () => {
    const coverage = new Coverage(bars);
    coverage.add(record({ location: 0x10, length: 2 }));
    expect(coverage.format()).toBe('Every offset that the driver touched is modelled.');
  });
});
