import type { HCS_EVENT_TYPE } from '../hcs/core/constants.ts';

/** One open handle, as the service knows it: told what happens to its system, in the order in which it happens. */
export interface SystemListener {
  event(type: HCS_EVENT_TYPE, document: string): void;
  /**
   * The system has ended, its devices are off, and its event has been told. Also called, without an event, for a system
   * whose creation failed.
   * @param exit SystemExitStatus document
   */
  ended(exit: string): void;
  /** The service is gone: nothing more comes. */
  disconnected(): void;
}
