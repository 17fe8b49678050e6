import type { ComputeSystem } from '../hcs/compute-system.ts';
import type { ComputeSystem as Document } from '../hcs/schema/documents.ts';
import type { HostBinding } from '../hosts/host.ts';
import type { GuestAccess, GuestFunction } from '../testing/guest-access.ts';
import type { LatencySummary } from './latency-histogram.ts';

/** A guest that answers, and what only its host can do. */
export interface GuestSession extends AsyncDisposable {
  readonly guest: GuestAccess;
  /** Who holds the clock, for the heading of a measurement. */
  readonly measuredBy: string;
  readonly defaultAccesses: number;
  /** Reads a dword of BAR 0 `count` times in a row, each timed. */
  measure(fn: GuestFunction, offset: number, count: number): Promise<LatencySummary>;
}

/** What it takes to have a guest on one host. */
export interface GuestSetup extends Disposable {
  /** A ComputeSystem document for a machine in which the guest runs. */
  readonly document: Document;
  /** Waits until the guest of a running system answers. Absent where the guest is the user's own, and does not. */
  open?(binding: HostBinding, system: ComputeSystem, signal: AbortSignal): Promise<GuestSession>;
}

/** A guest of ours, which answers. */
export type AnsweringGuestSetup = GuestSetup & Required<Pick<GuestSetup, 'open'>>;
