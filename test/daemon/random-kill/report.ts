import type { OperationKind } from './machine-model.ts';

/** What a run has come to. */
export class Report {
  operations = 0;
  kills = 0;
  /** Kills with an operation under way that was never answered. */
  inOperations = 0;
  /** Kills with nothing under way. */
  between = 0;
  /** Kills of a daemon that was taking over. */
  inTakeovers = 0;
  /** Machines that were killed while no daemon was there. */
  machinesKilled = 0;
  /** Machines that a daemon took over. */
  takenOver = 0;
  /** Files that were found whole. */
  wholeFiles = 0;
  readonly #cutOff = new Map<OperationKind, { count: number; done: number; undone: number }>();

  /** @param isDone whether it was found done afterwards; undefined: that cannot be told */
  cutOff(kind: OperationKind, isDone: boolean | undefined): void {
    const row = this.#cutOff.get(kind) ?? { count: 0, done: 0, undone: 0 };
    row.count++;
    if (isDone === true) row.done++;
    if (isDone === false) row.undone++;
    this.#cutOff.set(kind, row);
  }

  /** Operations that were cut off, by kind. */
  get kindsCutOff(): readonly OperationKind[] {
    return [...this.#cutOff.keys()];
  }

  toString(): string {
    const cutOff = [...this.#cutOff]
      .sort()
      .map(([kind, { count, done, undone }]) => `${kind} ${count} (${done} done, ${undone} not)`);
    return [
      `${this.kills} kills: ${this.inOperations} in operations, ${this.between} between, ${this.inTakeovers} in takeovers`,
      `${this.operations} operations, ${this.takenOver} machines taken over, ${this.machinesKilled} killed meanwhile, ${this.wholeFiles} saved files whole`,
      `cut off: ${cutOff.join(', ')}`,
    ].join('\n');
  }
}
