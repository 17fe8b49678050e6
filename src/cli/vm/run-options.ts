/** What `hdvkit vm run` was given. */
export interface VmRunOptions {
  readonly host?: string;
  readonly id?: string;
  readonly device: readonly string[];
  /** Seconds. */
  readonly shutdownTimeout: number;
  readonly json?: boolean;
}
