import type { OwnedResources } from './owned-resources.ts';
import type { ServedSystemRecord } from './served-system-record.ts';
import type { CallBegun } from './unfinished-call.ts';

/** Keeps what another service needs to take the systems over when this one is no more. All of it is synchronous. */
export interface SystemJournal {
  /**
   * A system is about to be built; whatever was kept under its name is forgotten.
   * @param name the function that creates it
   * @throws HcsError when it cannot be kept: the system is not built then
   */
  begin(name: string, record: ServedSystemRecord): KeptSystem;
  /** A system whose record was kept by another service. */
  resume(record: ServedSystemRecord): KeptSystem;
  /** What systems owned that are not kept any more. */
  readonly orphaned: OwnedResources;
  /** What was kept last of a part of the service itself: a value for JSON; undefined when nothing was. */
  setting(part: string): unknown;
  /**
   * Keeps a part of the service itself.
   * @param name the function that changes it
   * @throws HcsError when it cannot be kept: nothing may have changed then
   */
  keepSetting(name: string, part: string, value: unknown): void;
}

/** One system of a {@link SystemJournal}. */
export interface KeptSystem {
  /** What it owns outside the service. */
  readonly owned: OwnedResources;
  /** It was built. @throws HcsError when that cannot be kept: nobody would find the system again, so it is ended */
  built(record: ServedSystemRecord): void;
  /** Something of it may have changed. Never throws: what cannot be kept now is kept with the next change. */
  changed(record: ServedSystemRecord): void;
  /**
   * A call is about to change something. Never throws.
   * @returns is called when the call is over, with what has become of the system: both are kept together
   */
  call(call: CallBegun): (record: ServedSystemRecord) => void;
  /** The calls that its record spoke of are finished or undone. Never throws. */
  settled(record: ServedSystemRecord): void;
  /** It is no more, and whoever had to hear of it has. Never throws. */
  forget(): void;
}
