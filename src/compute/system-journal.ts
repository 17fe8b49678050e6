import type { ServedSystemRecord } from './served-system-record.ts';

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
}

/** One system of a {@link SystemJournal}. */
export interface KeptSystem {
  /** It was built. @throws HcsError when that cannot be kept: nobody would find the system again, so it is ended */
  built(record: ServedSystemRecord): void;
  /** Something of it may have changed. Never throws: what cannot be kept now is kept with the next change. */
  changed(record: ServedSystemRecord): void;
  /** It is no more, and whoever had to hear of it has. Never throws. */
  forget(): void;
}
