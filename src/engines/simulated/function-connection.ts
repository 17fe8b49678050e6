import type { DirectTable } from '../../pci/direct-table.ts';
import type { InterruptLine } from './interrupts.ts';
import type { SlotFunction } from './root-complex.ts';

/** What the endpoint of a device must resolve to for the simulated engine. */
export interface FunctionConnection {
  readonly kind: 'function';
  readonly function: SlotFunction;
  readonly line: InterruptLine;
  /** What the machine serves without the function. */
  readonly direct?: DirectTable | undefined;
  /** Runs Start, when it is not running. A promise where the function is on another thread. */
  start(): unknown;
  /** Runs Stop, when it is running. A promise where the function is on another thread. */
  stop(): unknown;
  /**
   * The state of the function, which is stopped: anything that can be cloned. A promise where the function is on another
   * thread. Absent where the function has no such thing.
   */
  readonly save?: (() => unknown) | undefined;
  /** Puts back what `save` gave, before the first start. A promise where the function is on another thread. */
  readonly restore?: ((state: unknown) => unknown) | undefined;
  /** Called when the machine has let go of the function, before `powerOff`. Absent where nothing is left to be done. */
  readonly disconnect?: (() => Promise<void>) | undefined;
  /** Set by the engine: the device host calls it when the function goes away by itself. */
  onDisconnect: (() => void) | undefined;
}

export function isConnection(endpoint: unknown): endpoint is FunctionConnection {
  return (
    typeof endpoint === 'object' &&
    endpoint !== null &&
    (endpoint as { kind?: unknown }).kind === 'function'
  );
}
