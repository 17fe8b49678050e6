import type { SystemExitStatus } from './schema/documents.ts';

/** A promise of the exit that may be left alone when it rejects. */
export class ExitPromise {
  readonly promise: Promise<SystemExitStatus>;
  resolve: (status: SystemExitStatus) => void = () => {};
  reject: (reason: unknown) => void = () => {};

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => {});
  }
}
