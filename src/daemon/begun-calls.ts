import type { CancellationToken } from 'vscode-jsonrpc/node';
import { Cancellation } from '../compute/cancellation.ts';
import type { ServiceNotices } from './protocol.ts';

/**
 * The calls of one client: cancels those that the client cancels, and tells it which have begun. Most calls are over
 * before that is worth a message, so it is told at the end of a turn of the event loop.
 */
export class BegunCalls {
  readonly #tell: (notice: ServiceNotices['begun']) => void;
  /** Calls that began in this turn; whether each can be interrupted. */
  readonly #fresh = new Map<number, boolean>();
  #isScheduled = false;

  constructor(tell: (notice: ServiceNotices['begun']) => void) {
    this.#tell = tell;
  }

  /** Runs a call. @throws what it ends with; HcsError ERROR_CANCELLED when it was cancelled in time */
  async run<T>(
    name: string,
    call: number,
    token: CancellationToken,
    work: (cancellation: Cancellation) => Promise<T>,
  ): Promise<T> {
    const cancellation = new ToldCancellation(name, (interruptible) =>
      this.#began(call, interruptible),
    );
    const cancel = (): void => {
      try {
        cancellation.cancel('HcsCancelOperation');
      } catch {
        // It has begun: the client sees how it ends.
      }
    };
    if (token.isCancellationRequested) cancel();
    const listener = token.onCancellationRequested(cancel);
    try {
      return await cancellation.race(work(cancellation));
    } finally {
      listener.dispose();
      this.#fresh.delete(call);
    }
  }

  #began(call: number, interruptible: boolean): void {
    this.#fresh.set(call, interruptible);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      for (const [number, interruptible] of this.#fresh) {
        this.#tell({ call: number, interruptible });
      }
      this.#fresh.clear();
    });
  }
}

class ToldCancellation extends Cancellation {
  readonly #told: (interruptible: boolean) => void;

  constructor(name: string, told: (interruptible: boolean) => void) {
    super(name);
    this.#told = told;
  }

  override begin(isInterruptible = false): void {
    super.begin(isInterruptible);
    this.#told(isInterruptible);
  }
}
