import type { SeededRandom } from '../engines/simulated/random.ts';
import type { Guest } from './guest.ts';
import type { SimulatedVm } from './simulated-vm.ts';

/** One thing that a hostile guest does. Plain data, so that a sequence can be replayed, shortened and printed. */
export type FuzzOperation =
  | { readonly do: 'readBar'; readonly bar: number; readonly offset: number; readonly width: Wide }
  | {
      readonly do: 'writeBar';
      readonly bar: number;
      readonly offset: number;
      readonly width: Wide;
      readonly value: number;
    }
  | { readonly do: 'readConfig'; readonly offset: number; readonly width: 1 | 2 | 4 }
  | {
      readonly do: 'writeConfig';
      readonly offset: number;
      readonly width: 1 | 2 | 4;
      readonly value: number;
    }
  | { readonly do: 'writeMemory'; readonly gpa: number; readonly value: number }
  | { readonly do: 'mask'; readonly vector: number; readonly masked: boolean }
  | { readonly do: 'interrupts'; readonly on: boolean }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'reset'; readonly kind: 'cold' | 'function' | 'disconnect' }
  | { readonly do: 'enable' | 'takeInterrupts' | 'restore' | 'replug' };

type Wide = 1 | 2 | 4 | 8;

/** What operations choose from: the shape of the device and of the machine. */
export interface FuzzTarget {
  readonly bars: readonly { readonly slot: number; readonly size: number }[];
  readonly vectors: number;
  /** Memory that was allocated for the device. */
  readonly memory: { readonly gpa: number; readonly length: number };
  /** First address past the guest's memory. */
  readonly memoryEnd: number;
}

const WIDTHS = [4, 4, 4, 4, 1, 2, 8] as const;
const CONFIG_WIDTHS = [1, 2, 4] as const;
const TIMES = [1, 1, 10, 100, 1000] as const;
const RESETS = ['cold', 'function', 'disconnect'] as const;

/** Offsets below this are where most devices have their registers. */
const REGISTERS = 0x200;

/** The next operation; mostly accesses to BARs, with everything else now and then. */
export function nextOperation(random: SeededRandom, target: FuzzTarget): FuzzOperation {
  const roll = random.below(1000);
  if (roll < 700 && target.bars.length > 0) return barOperation(random, target);
  if (roll < 780) return configOperation(random, target);
  if (roll < 850) {
    const { gpa, length } = target.memory;
    const offset = random.below(length / 4) * 4;
    return { do: 'writeMemory', gpa: gpa + offset, value: hostileValue(random, target) };
  }
  if (roll < 910) return { do: 'advance', ms: random.pick(TIMES) };
  if (roll < 940) return { do: 'enable' };
  if (roll < 960 && target.vectors > 0) {
    return { do: 'mask', vector: random.below(target.vectors), masked: random.below(2) === 0 };
  }
  if (roll < 970) return { do: 'takeInterrupts' };
  if (roll < 980) return { do: 'interrupts', on: random.below(4) !== 0 };
  if (roll < 988) return { do: 'restore' };
  if (roll < 994) return { do: 'replug' };
  return { do: 'reset', kind: random.pick(RESETS) };
}

function barOperation(random: SeededRandom, target: FuzzTarget): FuzzOperation {
  const bar = random.pick(target.bars);
  const width = random.pick(WIDTHS);
  const offset = hostileOffset(random, bar.size, width);
  const at = { bar: bar.slot, offset, width };
  return random.below(3) === 0
    ? { do: 'readBar', ...at }
    : { do: 'writeBar', ...at, value: hostileValue(random, target) };
}

function configOperation(random: SeededRandom, target: FuzzTarget): FuzzOperation {
  const width = random.pick(CONFIG_WIDTHS);
  const limit = random.below(4) === 0 ? 0x1000 : 0x100;
  const aligned = random.below(limit / width) * width;
  const offset = random.below(8) === 0 ? random.below(limit) : aligned;
  return random.below(2) === 0
    ? { do: 'readConfig', offset, width }
    : { do: 'writeConfig', offset, width, value: hostileValue(random, target) };
}

function hostileOffset(random: SeededRandom, size: number, width: number): number {
  const roll = random.below(20);
  const registers = Math.min(size, REGISTERS);
  if (roll < 13) return random.below(registers / 4) * 4;
  if (roll < 15) return random.below(Math.max(size / width, 1)) * width;
  if (roll < 16) return random.below(size);
  if (roll < 17) return random.below(registers);
  if (roll < 18) return Math.max(size - 1 - random.below(8), 0);
  // Powers of two are where parts of a BAR begin.
  const near = Math.min(2 ** random.below(Math.log2(size) + 1), size - 1);
  return near - (near % 4);
}

function hostileValue(random: SeededRandom, { memory, memoryEnd, bars }: FuzzTarget): number {
  const roll = random.below(20);
  if (roll < 4) return random.below(16);
  if (roll < 7) return (1 << random.below(32)) >>> 0;
  if (roll < 8) return 0xffff_ffff;
  if (roll < 9) return (0xffff_ffff << random.below(32)) >>> 0;
  if (roll < 13) return memory.gpa + random.below(memory.length);
  if (roll < 14) return (memoryEnd - 8 + random.below(16)) >>> 0;
  if (roll < 15) return random.below(0x1_0000);
  if (roll < 17 && bars.length > 0) return random.below(random.pick(bars).size);
  return random.next();
}

/** Where operations are carried out; `replug` changes the guest. */
export interface FuzzRun {
  readonly vm: SimulatedVm;
  guest: Guest;
  /** Takes the device out and brings its state into a new one. */
  replug(): void;
}

/** Carries one operation out. @throws what the device failed with, or an Error for an impossible answer */
export function apply(operation: FuzzOperation, run: FuzzRun): void {
  const { guest, vm } = run;
  switch (operation.do) {
    case 'readBar': {
      const { bar, offset, width } = operation;
      if (width === 8) guest.bar(bar).read64(offset);
      else checkAnswer(guest.bar(bar).read(offset, width), width);
      return;
    }
    case 'writeBar': {
      const { bar, offset, width, value } = operation;
      if (width === 8) guest.bar(bar).write64(offset, value);
      else guest.bar(bar).write(offset, width, value);
      return;
    }
    case 'readConfig':
      checkAnswer(guest.config.read(operation.offset, operation.width), operation.width);
      return;
    case 'writeConfig':
      guest.config.write(operation.offset, operation.width, operation.value);
      return;
    case 'writeMemory':
      vm.memory.write32(operation.gpa, operation.value);
      return;
    case 'mask':
      if (guest.interrupts.canMask(operation.vector)) {
        guest.interrupts.setMask(operation.vector, operation.masked);
      }
      return;
    case 'interrupts':
      if (operation.on) guest.interrupts.enableBest();
      else guest.interrupts.disable();
      return;
    case 'advance':
      vm.advance(operation.ms);
      return;
    case 'reset':
      guest.reset(operation.kind);
      return;
    case 'enable':
      guest.enable();
      return;
    case 'takeInterrupts':
      guest.takeInterrupts();
      return;
    case 'restore':
      guest.restore(guest.snapshot());
      return;
    case 'replug':
      run.replug();
      return;
  }
}

/**
 * The operation as a line of a test, with `vm` and `guest` in scope.
 * @param device source text of what makes a device, and of the options it is plugged with
 */
export function print(operation: FuzzOperation, device: string): string {
  switch (operation.do) {
    case 'readBar':
      return `guest.bar(${operation.bar}).read${operation.width * 8}(${hex(operation.offset)});`;
    case 'writeBar':
      return `guest.bar(${operation.bar}).write${operation.width * 8}(${hex(operation.offset)}, ${hex(operation.value)});`;
    case 'readConfig':
      return `guest.config.read${operation.width * 8}(${hex(operation.offset)});`;
    case 'writeConfig':
      return `guest.config.write${operation.width * 8}(${hex(operation.offset)}, ${hex(operation.value)});`;
    case 'writeMemory':
      return `vm.memory.write32(${hex(operation.gpa)}, ${hex(operation.value)});`;
    case 'mask':
      return `if (guest.interrupts.canMask(${operation.vector})) guest.interrupts.setMask(${operation.vector}, ${operation.masked});`;
    case 'interrupts':
      return operation.on ? 'guest.interrupts.enableBest();' : 'guest.interrupts.disable();';
    case 'advance':
      return `vm.advance(${operation.ms});`;
    case 'reset':
      return `guest.reset('${operation.kind}');`;
    case 'enable':
      return 'guest.enable();';
    case 'takeInterrupts':
      return 'guest.takeInterrupts();';
    case 'restore':
      return 'guest.restore(guest.snapshot());';
    case 'replug':
      return `guest = vm.replug(guest, ${device});`;
  }
}

/** Simpler forms of an operation, the simplest first; each is tried in its place when a failure is shrunk. */
export function simpler(operation: FuzzOperation): FuzzOperation[] {
  switch (operation.do) {
    case 'writeBar':
    case 'writeConfig':
    case 'writeMemory':
      return simplerValues(operation.value).map((value) => ({ ...operation, value }));
    case 'advance':
      return [0, 1, 10, 100].filter((ms) => ms < operation.ms).map((ms) => ({ do: 'advance', ms }));
    default:
      return [];
  }
}

function simplerValues(value: number): number[] {
  const candidates = [0, 1, value & 0xff, value & 0xffff];
  for (let bit = 0; bit < 32; bit++) {
    if ((value >>> bit) & 1) candidates.push((1 << bit) >>> 0);
  }
  return [...new Set(candidates)].filter((candidate) => candidate < value);
}

function checkAnswer(value: number, width: 1 | 2 | 4): void {
  if (Number.isInteger(value) && value >= 0 && value < 2 ** (8 * width)) return;
  throw new Error(
    `Cannot take ${value} for ${width} bytes: a read gave it, and it is no such number`,
  );
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
