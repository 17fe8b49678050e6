import type { VirtualProcessor } from 'hdvkit/testing';

/** What the program reads, and for how long. */
export interface ReadsArgument {
  /** Guest-physical addresses of 4-byte registers, one of each device. */
  readonly registers: readonly number[];
  /** Of a round. */
  readonly milliseconds: number;
  readonly rounds: number;
  /** Words of RAM where processors meet, one for each round; all 0. */
  readonly meeting: number;
}

const BETWEEN_LOOKS = 64;

/** Reads registers in turn; each round starts on all processors together. @returns reads per second of each round */
export default function reads(processor: VirtualProcessor): number[] {
  const { id, count, machine } = processor;
  const argument = processor.argument as ReadsArgument;
  const { registers, milliseconds, rounds } = argument;
  const meeting = processor.words(argument.meeting, rounds);
  let next = id % registers.length;
  return Array.from({ length: rounds }, (_, round) => {
    Atomics.add(meeting, round, 1);
    for (let here = 0; here < count; here = Atomics.load(meeting, round)) {
      Atomics.wait(meeting, round, here, 1);
    }
    const started = performance.now();
    let done = 0;
    let elapsed = 0;
    do {
      for (let i = 0; i < BETWEEN_LOOKS; i++) {
        machine.read(registers[next]!, 4);
        next = next + 1 === registers.length ? 0 : next + 1;
      }
      done += BETWEEN_LOOKS;
      elapsed = performance.now() - started;
    } while (elapsed < milliseconds);
    return (done / elapsed) * 1000;
  });
}
