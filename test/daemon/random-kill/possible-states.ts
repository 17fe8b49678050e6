import {
  type Circumstances,
  endsMachine,
  isCreation,
  isThere,
  type MachineState,
  NEVER_WAS,
  type Operation,
  outcomes,
} from './machine-model.ts';

/** One call of a client, from when it was made. */
export interface PendingCall {
  readonly number: number;
  readonly operation: Operation;
  readonly isHeld: boolean;
  metEnd: boolean;
  metCreation: boolean;
}

/** One way in which things may stand: what the machine is, and how calls that have not returned will end. */
interface Possibility {
  readonly state: MachineState;
  readonly results: Readonly<Record<number, string>>;
}

/** What a call that was cut off has done, if nothing else was under way. */
export interface CutOff {
  readonly operation: Operation;
  /** {@link keyOf} the states in which it has been done, and in which it has not. */
  readonly done: ReadonlySet<string>;
  readonly undone: ReadonlySet<string>;
}

/** Tells states apart that are not the same machine; how one has ended does not matter. */
export function keyOf(state: MachineState): string {
  return JSON.stringify(isThere(state) ? state : { saved: state.saved });
}

/**
 * All that one machine may be, by what was answered: calls take effect in some order between their begin and their answer
 * (Wing and Gong, 1993), and one that was cut off has happened or has not.
 */
export class PossibleStates {
  #possibilities: readonly Possibility[] = [{ state: NEVER_WAS, results: {} }];
  readonly #pending = new Map<number, PendingCall>();
  #number = 0;

  /** The states, with calls under way not counted. */
  get states(): readonly MachineState[] {
    return distinct(this.#possibilities.map(({ state }) => ({ state, results: {} }))).map(
      ({ state }) => state,
    );
  }

  get pending(): readonly PendingCall[] {
    return [...this.#pending.values()];
  }

  begin(operation: Operation, isHeld: boolean): PendingCall {
    const others = this.pending;
    const call: PendingCall = {
      number: this.#number++,
      operation,
      isHeld,
      metEnd: others.some((other) => endsMachine(other.operation)),
      metCreation: others.some((other) => isCreation(other.operation)),
    };
    for (const other of others) {
      if (endsMachine(operation)) other.metEnd = true;
      if (isCreation(operation)) other.metCreation = true;
    }
    this.#pending.set(call.number, call);
    return call;
  }

  /** A call was answered. @returns what answers were possible, when this one was not */
  end(call: PendingCall, result: string): readonly string[] | undefined {
    const all = this.#withPending();
    const fitting = all.filter(({ results }) => results[call.number] === result);
    if (fitting.length === 0) {
      const possible = all.map(({ results }) => results[call.number]);
      return [...new Set(possible.filter((one) => one !== undefined))];
    }
    this.#pending.delete(call.number);
    this.#possibilities = distinct(
      fitting.map(({ state, results: { [call.number]: _, ...results } }) => ({ state, results })),
    );
    return undefined;
  }

  /** The service is no more: calls that were not answered have happened, or have not. */
  cutOff(): CutOff | undefined {
    const all = this.#withPending();
    const calls = this.pending;
    this.#pending.clear();
    this.#possibilities = distinct(all.map(({ state }) => ({ state, results: {} })));
    const [call] = calls;
    if (call === undefined || calls.length > 1) return undefined;
    const texts = (isDone: boolean): Set<string> =>
      new Set(
        all
          .filter(({ results }) => (results[call.number] === 'ok') === isDone)
          .map(({ state }) => keyOf(state)),
      );
    return { operation: call.operation, done: texts(true), undone: texts(false) };
  }

  /** Any of the states may have become another, of itself. */
  change(become: (state: MachineState) => readonly MachineState[]): void {
    this.#possibilities = distinct(
      this.#possibilities.flatMap(({ state }) =>
        become(state).map((next) => ({ state: next, results: {} })),
      ),
    );
  }

  /** It was looked at. @returns the states that were possible, when none of them fits */
  observe(fits: (state: MachineState) => boolean): readonly MachineState[] | undefined {
    const fitting = this.#possibilities.filter(({ state }) => fits(state));
    if (fitting.length === 0) return this.states;
    this.#possibilities = fitting;
    return undefined;
  }

  /** With every order in which calls that have not returned may have taken effect. */
  #withPending(): readonly Possibility[] {
    const found = new Map<string, Possibility>();
    const open = [...this.#possibilities];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const key = JSON.stringify(next);
      if (found.has(key)) continue;
      found.set(key, next);
      const { state, results } = next;
      for (const call of this.#pending.values()) {
        if (results[call.number] !== undefined) continue;
        const circumstances: Circumstances = call;
        for (const outcome of outcomes(call.operation, state, circumstances)) {
          open.push({
            state: outcome.state,
            results: { ...results, [call.number]: outcome.result },
          });
        }
      }
    }
    return [...found.values()];
  }
}

function distinct(possibilities: readonly Possibility[]): readonly Possibility[] {
  return [...new Map(possibilities.map((one) => [JSON.stringify(one), one])).values()];
}
