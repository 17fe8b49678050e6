import type { SeededRandom } from '../../../src/engines/simulated/random.ts';
import type { OperationKind } from './machine-model.ts';

/** Milliseconds that operations take before any was timed, measured on a machine with two busy processors. */
const FIRST_GUESS_MS: Readonly<Record<OperationKind, number>> = {
  create: 80,
  restore: 80,
  start: 10,
  pause: 4,
  resume: 6,
  save: 35,
  addDisk: 12,
  removeDisk: 20,
  updateDisk: 5,
  addAdapter: 10,
  limit: 4,
  look: 2,
  terminate: 20,
  closeLast: 25,
};
/** How many of the last times count. */
const KEPT = 15;

/** Where a daemon is killed. */
export interface Aim {
  /** Operations that begin before. */
  readonly after: number;
  /** Kind that is aimed at; undefined: between operations, when none is under way. */
  readonly kind: OperationKind | undefined;
  /** Part of its usual time, beyond 1 for what comes soon after. */
  readonly part: number;
}

/** Knows how long operations take, and so when they are in the middle. */
export class KillMoment {
  readonly #random: SeededRandom;
  readonly #times = new Map<string, number[]>();

  readonly #mostSteps: number;

  /** @param mostSteps operations that may begin before a kill */
  constructor(random: SeededRandom, mostSteps: number) {
    this.#random = random;
    this.#mostSteps = mostSteps;
  }

  took(kind: string, ms: number): void {
    const times = this.#times.get(kind) ?? [];
    times.push(ms);
    if (times.length > KEPT) times.shift();
    this.#times.set(kind, times);
  }

  /** Median of the last times. */
  usualMs(kind: string): number {
    const times = [...(this.#times.get(kind) ?? [])].sort((a, b) => a - b);
    return times[times.length >> 1] ?? FIRST_GUESS_MS[kind as OperationKind] ?? 100;
  }

  /** One kill in eight comes between operations. */
  aim(kinds: readonly OperationKind[]): Aim {
    const random = this.#random;
    return {
      after: random.below(this.#mostSteps),
      kind: random.below(8) === 0 ? undefined : random.pick(kinds),
      part: (random.below(1000) / 1000) * 1.1,
    };
  }
}
