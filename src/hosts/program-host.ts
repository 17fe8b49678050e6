import type { HostBinding } from './host.ts';

/** How a guest program is run. */
export interface RunProgramOptions {
  /** Virtual processors, 1 to 15, each with a thread of its own; 1. */
  readonly processors?: number;
  /** Cloned to every processor. */
  readonly argument?: unknown;
  /** Name of the export that is the program; `default`. */
  readonly export?: string;
  /** Ends the program. */
  readonly signal?: AbortSignal;
}

/** A host whose machines are simulated, in this process or in that of a service: they run guest programs. */
export interface ProgramHost extends HostBinding {
  readonly name: 'simulated';
  /**
   * Runs a guest program on virtual processors of a system, each on a worker of the process that has the machine.
   * @throws RangeError (HcsError of a service) when the system is not there, or has no such number of processors
   * @throws what the program threw
   */
  run(systemId: string, program: URL, options?: RunProgramOptions): Promise<readonly unknown[]>;
}
