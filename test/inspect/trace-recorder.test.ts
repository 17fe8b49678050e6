import { expect, test } from 'vitest';
import { Dma, EDU, EduDevice, Status, Vector } from '../../sample-devices/edu.ts';
import { InterruptLine } from '../../src/engines/simulated/interrupts.ts';
import { TraceRecorder } from '../../src/inspect/trace-recorder.ts';
import { TraceKind, type TraceRecord, TraceRing } from '../../src/inspect/trace-ring.ts';
import { PciFunction } from '../../src/pci/pci-function.ts';
import { GuestPlatform } from '../../src/testing/guest-platform.ts';
import { PciDriver } from '../../src/testing/pci-driver.ts';
import { SimulatedMachine } from '../../src/testing.ts';

/** The edu device in a machine, its function observed by a recorder. */
function observed(): {
  readonly driver: PciDriver;
  readonly records: () => TraceRecord[];
  readonly machine: SimulatedMachine;
} {
  const machine = new SimulatedMachine();
  const line = new InterruptLine();
  const fn = new PciFunction(new EduDevice());
  const ring = TraceRing.create(1024);
  fn.observer = new TraceRecorder(ring);
  fn.connect(machine.portFor(line, () => undefined));
  fn.initialize();
  fn.setConfiguration([]);
  const slot = machine.plug(fn, line);
  fn.start();
  const driver = new PciDriver(new GuestPlatform(machine), slot);
  driver.enable();
  driver.interrupts.enableBest();
  const reader = ring.reader();
  const records = (): TraceRecord[] => {
    const found: TraceRecord[] = [];
    // The driver looks at the command register and the BARs before it uses them.
    reader.drain((record) => record.kind !== TraceKind.CONFIG_READ && found.push({ ...record }));
    return found;
  };
  records();
  return { driver, records, machine };
}

const { FACTORIAL, STATUS, DMA_SOURCE, DMA_TARGET, DMA_COUNT, DMA_COMMAND } = EDU.offsets;

test('records accesses with their values, and the interrupt that an access raised', () => {
  const { driver, records } = observed();
  driver.bar(0).write32(STATUS, Status.IRQ_WHEN_DONE);
  driver.bar(0).write32(FACTORIAL, 4);
  driver.bar(0).read32(FACTORIAL);
  expect(records().map(({ kind, location, value }) => [kind, location, value])).toEqual([
    [TraceKind.BAR_WRITE, STATUS, Status.IRQ_WHEN_DONE],
    [TraceKind.BAR_WRITE, FACTORIAL, 4],
    [TraceKind.INTERRUPT, Vector.FACTORIAL, 0],
    [TraceKind.INTERRUPT_SENT, Vector.FACTORIAL, 0],
    [TraceKind.BAR_READ, FACTORIAL, 24],
  ]);
});

test('records DMA with its address, length and outcome', () => {
  const { driver, records, machine } = observed();
  driver.bar(0).write64(DMA_SOURCE, 0x1000n);
  driver.bar(0).write64(DMA_TARGET, 0x4_0000n);
  driver.bar(0).write32(DMA_COUNT, 64);
  driver.bar(0).write32(DMA_COMMAND, Dma.RUN);
  machine.advance(100);
  expect(records().at(-1)).toMatchObject({
    kind: TraceKind.DMA_READ,
    location: 0x1000,
    length: 64,
    value: 1,
  });
});

test('records what the guest does in config space', () => {
  const { driver, records } = observed();
  driver.config.write(0x04, 2, 0);
  expect(records().at(-1)).toMatchObject({ kind: TraceKind.CONFIG_WRITE, location: 4, length: 4 });
});

test('records a doorbell that rang without an access as what it is', () => {
  const ring = TraceRing.create(16);
  new TraceRecorder(ring).doorbellRung(2, 0x1008);
  const found: TraceRecord[] = [];
  ring.reader().drain((record) => found.push({ ...record }));
  expect(found).toMatchObject([{ kind: TraceKind.DOORBELL, slot: 2, location: 0x1008 }]);
});
