import type {
  AbstractCancellationTokenSource,
  CancellationToken,
  Disposable,
} from 'vscode-jsonrpc/node';

/**
 * The token of one call, and what cancels it, for one listener. The library's own make an emitter for each call, which
 * short calls would spend more time on than on their work.
 */
export class CallToken implements CancellationToken, AbstractCancellationTokenSource {
  #listener: ((event: unknown) => unknown) | undefined;
  #isCancelled = false;

  get token(): this {
    return this;
  }

  get isCancellationRequested(): boolean {
    return this.#isCancelled;
  }

  /** @param listener takes the place of the one before */
  onCancellationRequested(listener: (event: unknown) => unknown): Disposable {
    this.#listener = listener;
    return this;
  }

  cancel(): void {
    if (this.#isCancelled) return;
    this.#isCancelled = true;
    this.#listener?.(undefined);
  }

  dispose(): void {
    this.#listener = undefined;
  }
}
