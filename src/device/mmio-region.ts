/** Width of an access in bytes. An 8-byte access is two 4-byte accesses, low half first. */
export type Width = 1 | 2 | 4;

/** Anything a BAR can route to. Offsets are bytes from the region's start; values are unsigned 32-bit. */
export interface MmioRegion {
  /** Length in bytes. */
  readonly size: number;
  read(offset: number, width: Width): number;
  write(offset: number, width: Width, value: number): void;
  reset?(): void;
  save?(): unknown;
  restore?(state: unknown): void;
}
