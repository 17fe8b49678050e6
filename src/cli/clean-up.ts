import { setMaxListeners } from 'node:events';
import { endProcess } from './end-process.ts';
import { ExitCode, outputFailureCode } from './failure.ts';

type Step = () => unknown;

/** Exit codes as a shell gives them to what a signal ended. */
const INTERRUPTIONS: Readonly<Partial<Record<NodeJS.Signals, number>>> = {
  SIGINT: ExitCode.INTERRUPTED,
  SIGTERM: ExitCode.TERMINATED,
  SIGHUP: ExitCode.HUNG_UP,
  // Ctrl-Break, and Windows only; there SIGHUP is the console's closing, and SIGTERM never comes.
  ...(process.platform === 'win32' ? { SIGBREAK: ExitCode.INTERRUPTED } : {}),
};

/**
 * What a command has to take away again, last made first, whether it ends, fails or is interrupted. A signal cleans up
 * once and ends the process with 130 (Ctrl-C, Ctrl-Break), 143 (SIGTERM) or 129 (SIGHUP); a second one ends it at once.
 * So does, with 141, a standard output that nobody reads any more.
 */
export class CleanUp implements AsyncDisposable {
  readonly #steps: Step[] = [];
  readonly #abort = new AbortController();
  readonly #onSignal: (signal: NodeJS.Signals) => void;
  readonly #onOutputError: (error: Error) => void;
  #running: Promise<void> | undefined;

  constructor() {
    // As many calls wait at once as there are systems.
    setMaxListeners(0, this.#abort.signal);
    this.#onSignal = (signal) =>
      void this.#interrupt(signal, INTERRUPTIONS[signal] ?? ExitCode.INTERRUPTED);
    this.#onOutputError = (error) => {
      // Each further write fails, too.
      if (!this.#abort.signal.aborted) {
        void this.#interrupt('the end of its output', outputFailureCode(error));
      }
    };
    this.#catchSignals();
    process.stdout.on('error', this.#onOutputError);
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

  /**
   * Does something that may hold this thread for ever, as no signal is noticed then: the system ends the process on one,
   * and no step is run. Only for commands that have nothing outside of this process.
   */
  async whileSignalsEndTheProcess<T>(action: () => Promise<T>): Promise<T> {
    this.#leaveSignals();
    try {
      return await action();
    } finally {
      this.#catchSignals();
    }
  }

  #catchSignals(): void {
    for (const signal of Object.keys(INTERRUPTIONS)) process.on(signal, this.#onSignal);
  }

  #leaveSignals(): void {
    for (const signal of Object.keys(INTERRUPTIONS)) process.off(signal, this.#onSignal);
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

  async #interrupt(by: string, code: number): Promise<void> {
    if (this.#abort.signal.aborted) endProcess(code);
    this.#abort.abort(new Error(`Interrupted by ${by}`));
    try {
      await this.run();
    } finally {
      endProcess(code);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      // A signal meanwhile is heard: the first, or the second, which ends what takes its time.
      await this.run();
    } finally {
      this.#leaveSignals();
      process.stdout.off('error', this.#onOutputError);
    }
  }
}
