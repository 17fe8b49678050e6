import type { Clock, GuestMemory } from '../device/services.ts';
import type { DoorbellShape } from './device-callbacks.ts';

/** What a host can do for a function, as data. */
export interface PciHostCapabilities {
  /**
   * `forwarded`: every guest write of the command register arrives in config space, so memory decode and bus
   * mastering are honoured. `unreliable` (Hyper-V): both count as on from start to stop.
   */
  readonly commandRegister: 'forwarded' | 'unreliable';
  /** Can the host carry a level-triggered interrupt line? */
  readonly intx: boolean;
}

/** Something that a function reports about itself; never thrown into a host. */
export type FunctionNotice =
  | { readonly type: 'guestError'; readonly text: string; readonly count: number }
  | { readonly type: 'failed'; readonly error: Error };

/** Memory that a host can put into a BAR, so that the guest maps it directly. Disposal gives it back. */
export interface BarMemory extends Disposable {
  /** The bytes, zero at first. Harmless to touch after disposal. */
  readonly bytes: Buffer;
  /**
   * Lets the guest map all of it at a place of a BAR, until disposal of what is returned. A host that cannot intercepts
   * the accesses as before, and says nothing.
   * @param offset a multiple of the page size
   */
  show(bar: number, offset: number): Disposable;
}

/**
 * What a {@link PciFunction} asks its host for: exactly what HDV offers. One implementation per host; the function
 * connects to one host at a time, and checks bus mastering itself before it uses `memory`.
 */
export interface PciHost {
  readonly capabilities: PciHostCapabilities;
  /** Guest memory, not policed for bus mastering. */
  readonly memory: GuestMemory;
  /** Host time. Timers are owned by the function, which cancels them at stop and reset. */
  readonly clock: Clock;
  /** Sends one message-signalled interrupt, as the guest programmed it. Never throws; a lost one is reported. */
  deliverInterrupt(address: number, data: number): void;
  /** Drives INTx. Called only on a change of level, and only where `capabilities.intx`. */
  setInterruptLine(asserted: boolean): void;
  /**
   * Notices of guest writes to a row of doorbells in place of intercepts, until disposal. Rings come on the function's
   * thread, later than the writes, and may be merged. Where the host cannot, writes are intercepted as before. Absent
   * where it never can.
   */
  watchDoorbells?(row: DoorbellShape, ring: (index: number) => void): Disposable;
  /**
   * Memory for pages that the guest maps directly; undefined when there is none to be had. Absent where there never is.
   * @param bar, offset where it will be shown: some hosts make it for one place
   */
  barMemory?(size: number, bar: number, offset: number): BarMemory | undefined;
  /** Receives notices; must not throw. */
  report(notice: FunctionNotice): void;
}
