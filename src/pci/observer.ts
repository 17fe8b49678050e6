import type { Width } from '../device/mmio-region.ts';
import type { ResetKind } from '../device/services.ts';

/**
 * Watches one function: traces, inspectors, tests. Every method is optional, is called after the fact on the device's
 * thread, and must not throw. An absent observer costs one comparison per access.
 */
export interface FunctionObserver {
  /** A guest read `value` from a BAR. */
  memoryRead?(bar: number, offset: number, width: Width, value: number): void;
  /** A guest wrote a BAR. Called before the device acts on it. */
  memoryWrite?(bar: number, offset: number, width: Width, value: number): void;
  /** The host noticed that the doorbell at this place was rung, once or more. Called before the device hears of it. */
  doorbellRung?(bar: number, offset: number): void;
  /** A dword of config space was read. */
  configRead?(offset: number, value: number): void;
  /** A dword of config space was written. Called before the function acts on it. */
  configWrite?(offset: number, value: number): void;
  /** The device read guest memory; `done` is what it was told. */
  dmaRead?(gpa: number, length: number, done: boolean): void;
  /** The device wrote guest memory. */
  dmaWrite?(gpa: number, length: number, done: boolean): void;
  /** The device mapped guest memory; what it does there is not seen. */
  apertureMapped?(gpa: number, length: number, done: boolean): void;
  /** The device raised a vector, whatever became of it. */
  interruptRaised?(vector: number): void;
  /** A message was sent. */
  interruptDelivered?(vector: number, address: number, data: number): void;
  /** The function drove INTx. */
  lineChanged?(asserted: boolean): void;
  /** The function has been reset. */
  reset?(kind: ResetKind): void;
  /** The guest did something forbidden; `count` is how often so far. */
  guestError?(text: string, count: number): void;
  /** The device's code failed. */
  failed?(error: Error): void;
}
