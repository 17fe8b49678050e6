import { ExitCode } from './failure.ts';

type Step = () => unknown;

/**
 * What a command has to take away again, last made first, whether it ends, fails or is interrupted. Ctrl-C and SIGTERM
 * clean up once and end the process with 130 or 143; a second Ctrl-C ends it at once.
 */
export class CleanUp implements AsyncDisposable {
  readonly #steps: Step[] = [];
  readonly #abort = new AbortController();
  readonly #onSignal: (signal: NodeJS.Signals) => void;
  #running: Promise<void> | undefined;

  constructor() {
    this.#onSignal = (signal) => void this.#interrupt(signal);
    process.on('SIGINT', this.#onSignal);
    process.on('SIGTERM', this.#onSignal);
    process.on('SIGHUP', this.#onSignal);
  }

  /** Aborted when the user interrupts. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Adds a step; it runs before the steps that were added before it. */
  add(step: Step): void {
    this.#steps.push(step);
  }

  /** Adds a disposable, and returns it. */
  use<T extends Partial<AsyncDisposable> & Partial<Disposable>>(value: T): T {
    this.add(() => value[Symbol.asyncDispose]?.() ?? value[Symbol.dispose]?.());
    return value;
  }

  /** Runs every step once; a step that throws does not keep the others from running. */
  async run(): Promise<void> {
    this.#running ??= this.#runSteps();
    await this.#running;
  }

  async #runSteps(): Promise<void> {
    const errors: unknown[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  async #interrupt(signal: NodeJS.Signals): Promise<void> {
    const code = signal === 'SIGTERM' ? 143 : ExitCode.INTERRUPTED;
    if (this.#abort.signal.aborted) process.exit(code);
    this.#abort.abort(new Error(`Interrupted by ${signal}`));
    try {
      await this.run();
    } finally {
      process.exit(code);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('SIGINT', this.#onSignal);
    process.off('SIGTERM', this.#onSignal);
    process.off('SIGHUP', this.#onSignal);
    await this.run();
  }
}
