/** Steps kept for a failure. */
const KEPT = 400;
/** Steps of other machines that a failure tells. */
const TOLD = 60;

/** What was done, to be read when something is wrong. */
export class History {
  readonly #steps: string[] = [];
  readonly #start = performance.now();

  add(step: string): void {
    const ms = (performance.now() - this.#start).toFixed(0).padStart(7);
    this.#steps.push(`${ms} ms  ${step}`);
    if (this.#steps.length > KEPT) this.#steps.shift();
  }

  /** The last steps: of one machine as far back as they are kept, and the last of all. */
  text(id?: string): string {
    const first = this.#steps.length - TOLD;
    return this.#steps
      .filter((step, i) => i >= first || (id !== undefined && step.includes(id)))
      .join('\n');
  }
}

/** What must never be was: with what a person needs to see how it came. */
export class Violation extends Error {
  override readonly name = 'Violation';
  /** The machine, where it is about one. */
  readonly id: string | undefined;

  constructor(message: string, id?: string) {
    super(message);
    this.id = id;
  }
}
