import { ComputeFunctions } from './compute-functions.ts';
import { ServedService } from './served-service.ts';
import type { ComputeServiceOptions } from './served-systems.ts';

/** The Host Compute Service where there is no Windows, whole and in this process. */
export class ComputeService extends ComputeFunctions implements AsyncDisposable {
  readonly #service: ServedService;

  constructor(options: ComputeServiceOptions) {
    const service = new ServedService(options);
    super(service);
    this.#service = service;
  }

  /** Terminates every system. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service[Symbol.asyncDispose]();
  }
}
