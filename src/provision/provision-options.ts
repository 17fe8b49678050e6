/** One state of a provisioning step, for a progress display. */
export interface ProvisionProgress {
  /** What is being done, as a phrase: `'download QEMU'`. */
  readonly step: string;
  readonly done: number;
  /** In the unit of `done`; 0 when unknown. */
  readonly total: number;
}

/** What every provisioning function takes. */
export interface ProvisionOptions {
  /** Called with each change, often. */
  readonly progress?: ((progress: ProvisionProgress) => void) | undefined;
  /** Aborting ends the work and rejects with `signal.reason`. What was downloaded stays and is used next time. */
  readonly signal?: AbortSignal | undefined;
  /** Root of the cache. Default: {@link cacheDirectory}. */
  readonly cache?: string | undefined;
  /** Fetches again even when it is there, for a newer version. */
  readonly force?: boolean | undefined;
}
