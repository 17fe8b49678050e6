import type { PciDevice } from '../device/pci-device.ts';
import { SeededRandom } from '../engines/simulated/random.ts';
import {
  apply,
  type FuzzOperation,
  type FuzzRun,
  type FuzzTarget,
  nextOperation,
  print,
  simpler,
} from './fuzz-operations.ts';
import { shrink } from './shrink.ts';
import { SimulatedVm } from './simulated-vm.ts';

/** How {@link fuzz} goes about it. */
export interface FuzzOptions {
  /** Same seed, same accesses. Named in the failure. */
  readonly seed: number;
  /** Operations in all; most are accesses to BARs. */
  readonly accesses: number;
  /** Configuration strings for the device. */
  readonly configuration?: readonly string[];
}

/** What a run that found no failure has done. */
export interface FuzzReport {
  readonly seed: number;
  readonly accesses: number;
  /** Mistakes that the device called the guest's, reports after rate limits. */
  readonly guestErrors: number;
}

/** A device failed under {@link fuzz}. The message has the seed and a test to paste; `cause` is the device's error. */
export class FuzzFailure extends Error {
  override readonly name = 'FuzzFailure';
  /** The shortest sequence found that fails. */
  readonly operations: readonly FuzzOperation[];
  /** The same as the source text of a test. */
  readonly test: string;

  constructor(
    message: string,
    operations: readonly FuzzOperation[],
    test: string,
    options: ErrorOptions,
  ) {
    super(message, options);
    this.operations = operations;
    this.test = test;
  }
}

/** Operations before a fresh machine and device: keeps failures replayable in little time. */
const SEQUENCE = 500;
const MEMORY = 2 * 1024 * 1024;
const DMA_MEMORY = 64 * 1024;

/**
 * Drives devices with hostile sequences of what a guest can do: config space, BARs at all widths and at odd offsets,
 * DMA memory that changes, interrupts, time, resets, snapshot and restore. No sequence may make a device fail: a hook
 * that throws or returns a promise is a failure, and so is a read that gives no number of its width.
 *
 * ```ts
 * fuzz(() => new EduDevice(), { seed: 1, accesses: 10_000 });
 * ```
 *
 * @param create makes a fresh device; everything it does must follow from what the guest does
 * @throws FuzzFailure with the shortest sequence that it found to fail, as a test to paste
 */
export function fuzz(create: () => PciDevice, options: FuzzOptions): FuzzReport {
  const { seed, accesses, configuration = [] } = options;
  const random = new SeededRandom(seed);
  let guestErrors = 0;
  for (let done = 0; done < accesses; ) {
    const sequenceSeed = random.next();
    const length = Math.min(SEQUENCE, accesses - done);
    const performed: FuzzOperation[] = [];
    const run = new Run(create, configuration);
    const choices = new SeededRandom(sequenceSeed);
    try {
      for (let i = 0; i < length; i++) {
        const operation = nextOperation(choices, run.target);
        performed.push(operation);
        apply(operation, run);
      }
      run.end();
    } catch (error) {
      throw failure(create, options, performed, done, error);
    }
    guestErrors += run.guestErrors;
    done += length;
  }
  return { seed, accesses, guestErrors };
}

/** One machine with one device, for one sequence. */
class Run implements FuzzRun {
  readonly vm = new SimulatedVm({ memory: MEMORY });
  guest;
  readonly target: FuzzTarget;
  readonly #create: () => PciDevice;
  readonly #configuration: readonly string[];
  #guestErrorsBefore = 0;

  constructor(create: () => PciDevice, configuration: readonly string[]) {
    this.#create = create;
    this.#configuration = configuration;
    this.guest = this.vm.plug(create(), { configuration });
    const gpa = this.vm.memory.allocate(DMA_MEMORY);
    this.target = {
      bars: this.guest.bars.map(({ slot, size }) => ({ slot, size })),
      vectors: this.guest.interrupts.count,
      memory: { gpa, length: DMA_MEMORY },
      memoryEnd: this.vm.memory.end,
    };
  }

  get guestErrors(): number {
    return this.#guestErrorsBefore + this.guest.guestErrors.length;
  }

  replug(): void {
    this.#guestErrorsBefore = this.guestErrors;
    this.guest = this.vm.replug(this.guest, this.#create(), { configuration: this.#configuration });
  }

  /** Lets what runs come to its end, then takes the device out. */
  end(): void {
    this.vm.advance(1000);
    this.vm.unplug(this.guest);
  }
}

function failure(
  create: () => PciDevice,
  { seed, configuration = [] }: FuzzOptions,
  performed: readonly FuzzOperation[],
  before: number,
  error: unknown,
): FuzzFailure {
  let cause = error;
  const fails = (operations: readonly FuzzOperation[]): boolean => {
    try {
      const run = new Run(create, configuration);
      for (const operation of operations) apply(operation, run);
      run.end();
      return false;
    } catch (again) {
      cause = again;
      return true;
    }
  };
  const shortest = shrink(performed, fails, simpler);
  const failsAgain = fails(shortest); // also so that `cause` belongs to it
  const { name } = create().constructor;
  const test = testOf(name, shortest, configuration);
  const text = cause instanceof Error ? cause.message : String(cause);
  const about = failsAgain
    ? 'The shortest sequence found, as a test:'
    : 'It did not fail when this was repeated, so it depends on something besides the guest: the clock, chance, or what other devices left behind. What was done, as a test:';
  return new FuzzFailure(
    `${name} failed within ${before + performed.length} accesses of seed ${seed}: ${text}\n\n${about}\n\n${test}`,
    shortest,
    test,
    { cause },
  );
}

function testOf(
  name: string,
  operations: readonly FuzzOperation[],
  configuration: readonly string[],
): string {
  const options = configuration.length > 0 ? `, ${JSON.stringify({ configuration })}` : '';
  const device = `new ${name}()${options}`;
  const keyword = operations.some((operation) => operation.do === 'replug') ? 'let' : 'const';
  return [
    `test('${name} survives what a fuzzer found', () => {`,
    `  const vm = new SimulatedVm({ memory: ${MEMORY} });`,
    `  ${keyword} guest = vm.plug(${device});`,
    `  vm.memory.allocate(${DMA_MEMORY});`,
    ...operations.map((operation) => `  ${print(operation, device)}`),
    '  vm.advance(1000);',
    '  vm.unplug(guest);',
    '});',
  ].join('\n');
}
