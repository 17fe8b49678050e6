import { GuestPlatform, type PciDriver, type VirtualProcessor } from 'hdvkit/testing';
import { Command, PROBE } from '../../host/conformance-devices.ts';
import { PageOffset, PageWord } from './devices.ts';

/** Where processors meet. */
const MEETING = 0x10_0000;

function driverOf({ machine }: VirtualProcessor, deviceId: number): PciDriver {
  const drivers = new GuestPlatform(machine).enumerate();
  const driver = drivers.find((candidate) => candidate.deviceId === deviceId);
  if (driver === undefined) throw new Error(`No device ${deviceId.toString(16)} on the bus`);
  return driver;
}

/** Has the device interrupt, and sleeps until it did. @returns the vectors in order of arrival */
export function interrupts(processor: VirtualProcessor): number[] {
  const driver = driverOf(processor, processor.argument as number);
  driver.interrupts.enableBest();
  const bar = driver.bar(0);
  const arrived: number[] = [];
  for (const vector of [1, 3, 0, 2]) {
    bar.write32(PROBE.offsets.VECTOR, vector);
    bar.write32(PROBE.offsets.COMMAND, vector % 2 === 0 ? Command.RAISE : Command.RAISE_LATER);
    const before = arrived.length;
    processor.wait(() => {
      arrived.push(...driver.takeInterrupts());
      return arrived.length > before;
    }, 30_000);
  }
  return arrived;
}

/** Waits for a level of the interrupt line that the device drives. @returns the levels that were seen */
export function line(processor: VirtualProcessor): boolean[] {
  const driver = driverOf(processor, processor.argument as number);
  driver.interrupts.enableIntx();
  const seen = [driver.interrupts.line];
  for (const level of [1, 0]) {
    driver.bar(0).write32(0, level);
    processor.wait(() => driver.interrupts.line === (level === 1), 30_000);
    seen.push(driver.interrupts.line);
  }
  return seen;
}

/** Processors add to one word of RAM, each waiting for its turn. @returns the word when all are through */
export function meeting(processor: VirtualProcessor): number {
  const words = processor.words(MEETING, 2);
  for (let turn = 0; turn < 100; turn++) {
    const wanted = turn * processor.count + processor.id;
    for (let now = Atomics.load(words, 0); now !== wanted; now = Atomics.load(words, 0)) {
      Atomics.wait(words, 0, now);
    }
    words[1] = (words[1] ?? 0) + 1;
    Atomics.store(words, 0, wanted + 1);
    Atomics.notify(words, 0);
  }
  while (Atomics.load(words, 0) < 100 * processor.count) {
    Atomics.wait(words, 0, Atomics.load(words, 0), 10);
  }
  return words[1] ?? 0;
}

/** A device copies guest memory for one processor, and another one sees the bytes. */
export function dma(processor: VirtualProcessor): string {
  const words = processor.words(MEETING, 1);
  const { ram } = processor.machine;
  const bytes = Buffer.alloc(16);
  if (processor.id === 0) {
    const { offsets } = PROBE;
    const bar = driverOf(processor, processor.argument as number).bar(0);
    ram.write(MEETING + 0x1000, Buffer.from('from a processor'));
    bar.write64(offsets.SOURCE, MEETING + 0x1000);
    bar.write64(offsets.TARGET, MEETING + 0x2000);
    bar.write32(offsets.COUNT, 16);
    bar.write32(offsets.COMMAND, Command.COPY);
    Atomics.store(words, 0, 1 + bar.read32(offsets.RESULT));
    Atomics.notify(words, 0);
  } else {
    Atomics.wait(words, 0, 0);
  }
  ram.read(MEETING + 0x2000, bytes);
  return `${words[0]} ${bytes.toString()}`;
}

/** Waits until a device is on the bus, then until it is gone. @returns its id, and what is read in its place */
export function hotPlug(processor: VirtualProcessor): readonly number[] {
  const { machine } = processor;
  const { deviceId, told } = processor.argument as { deviceId: number; told: SharedArrayBuffer };
  const step = new Int32Array(told);
  const ids = (): number[] => machine.bus.slots.map((slot) => slot.function.readConfigSpace(0));
  const isThere = (): boolean => ids().some((id) => id >>> 16 === deviceId);
  while (!isThere()) machine.advance(1);
  const driver = driverOf(processor, deviceId);
  const { bars } = driver;
  const seen = driver.bar(0).read32(0);
  const { gpa } = bars[0]!;
  Atomics.store(step, 0, 1);
  while (isThere()) machine.advance(1);
  return [seen, machine.read(gpa, 4)];
}

/** Turns the machine off when the host asks for it. */
export function untilShutDown(processor: VirtualProcessor): void {
  Atomics.store(new Int32Array(processor.argument as SharedArrayBuffer), 0, 1);
  while (!processor.shutDownRequested) processor.wait(() => false, 10_000);
  if (processor.id === 0) processor.machine.powerOff();
}

/** Counts reads of a device until it is ended from outside. */
export function readForEver({ machine, argument }: VirtualProcessor): never {
  const { gpa, count } = argument as { gpa: number; count: SharedArrayBuffer };
  const words = new Int32Array(count);
  for (;;) {
    machine.read(gpa, 4);
    Atomics.add(words, 0, 1);
  }
}

/** Reads one register. @returns what it read, and for how long */
export function readOnce({ machine, argument }: VirtualProcessor): readonly [number, number] {
  const before = performance.now();
  const value = machine.read(argument as number, 4);
  return [value, performance.now() - before];
}

/** Throws on the second processor, while the first one would never end. */
export function failing({ id }: VirtualProcessor): never {
  if (id === 1) throw new RangeError('Cannot go on');
  for (;;);
}

/** Not a program. */
export const nothing = 42;

/** One processor waits for the device, which waits for what the other one writes into a page of its BAR. */
export function page(processor: VirtualProcessor): number {
  const { id, machine, argument } = processor;
  const gpa = argument as number;
  const meeting = processor.words(MEETING, 1);
  if (id === 0) {
    Atomics.wait(meeting, 0, 0, 20_000);
    return machine.read(gpa + PageOffset.WAIT, 4);
  }
  const words = gpa + PageOffset.PAGE;
  // Finds out where the device is, which only its thread can say.
  machine.read(words, 4);
  Atomics.store(meeting, 0, 1);
  Atomics.notify(meeting, 0);
  const end = performance.now() + 20_000;
  while (machine.read(words + 4 * PageWord.WAITS, 4) === 0) {
    if (performance.now() > end) return 0;
  }
  machine.write(words + 4 * PageWord.VALUE, 4, 0xbeef);
  machine.write(words + 4 * PageWord.GO, 4, 1);
  return machine.read(words + 4 * PageWord.VALUE, 2);
}

/** Rings a doorbell. @returns how often the device says that it was rung */
export function ring({ machine, argument }: VirtualProcessor): number {
  const gpa = argument as number;
  for (let i = 0; i < 3; i++) machine.write(gpa + PageOffset.BELL, 4, i);
  return machine.read(gpa + PageOffset.RUNG, 4);
}

/** @returns a word of a page */
export function readPage({ machine, argument }: VirtualProcessor): number {
  return machine.read((argument as number) + PageOffset.PAGE, 4);
}

/** Writes a register and reads it back until the first word of RAM says that it is enough; the second one counts. */
export function countUntilTold(processor: VirtualProcessor): { rounds: number; wrong: number } {
  const { machine, argument } = processor;
  const gpa = argument as number;
  const told = processor.words(0, 2);
  let rounds = 0;
  let wrong = 0;
  while (Atomics.load(told, 0) === 0) {
    rounds = (rounds + 1) | 0;
    machine.write(gpa, 4, rounds);
    if (machine.read(gpa, 4) !== rounds) wrong++;
    Atomics.store(told, 1, rounds);
  }
  return { rounds, wrong };
}
