/**
 * What a vfio-user server asks of a device, and what it gives it. One device, one thread: every member is called on
 * the thread that drives the server, synchronously, and must not throw.
 */

/** Width of an access in bytes. An 8-byte access arrives as two 4-byte accesses, low half first. */
export type AccessWidth = 1 | 2 | 4;

/** Region indexes of a PCI device (vfio-user, DEVICE_GET_REGION_INFO). 0 to 5 are the BARs. */
export const Region = { BAR0: 0, BAR5: 5, ROM: 6, CONFIG: 7, VGA: 8, COUNT: 9 } as const;

/** Interrupt indexes of a PCI device (vfio-user, DEVICE_GET_IRQ_INFO). */
export const Irq = { INTX: 0, MSI: 1, MSIX: 2, ERROR: 3, REQUEST: 4, COUNT: 5 } as const;

/** Part of a region that the client may map, in bytes from the region's start. Page aligned. */
export interface MappableArea {
  readonly offset: number;
  readonly size: number;
}

/** One region. A missing region, and the upper half of a 64-bit BAR, has size 0. */
export interface VfioUserRegion {
  /** Bytes. */
  readonly size: number;
  /** Default true. */
  readonly readable?: boolean;
  /** Default true. */
  readonly writable?: boolean;
  /**
   * Memory behind the region that the client may map. The descriptor stays the device's: the server sends duplicates.
   * One mapped region turns posted writes off for the whole device in QEMU.
   */
  readonly mapping?: RegionMapping | undefined;
}

/** Memory behind a region. Asked for when a client wants to know: it may be another thing for each connection. */
export interface RegionMapping {
  readonly fd: number;
  /** Where the region starts in the file. */
  readonly offset: number;
  /** Empty: the whole region. */
  readonly areas: readonly MappableArea[];
}

/** Doorbells of a device: writes that the server signals in place of passing them on. */
export interface RegionDoorbells {
  /** How many there are; 0 spares the question. */
  readonly doorbellCount: number;
  /**
   * @param width 1, 2, 4 or 8 bytes; @param low, high the value, unsigned
   * @returns whether the write was a doorbell's, which has been signalled then
   */
  ring(region: number, offset: number, width: number, low: number, high: number): boolean;
}

/** Why a connection ended. */
export type DisconnectReason =
  /** The client closed the connection: unplugged, or the VMM ended. */
  | { readonly type: 'closed' }
  /** The client broke the protocol beyond repair. */
  | { readonly type: 'protocol'; readonly detail: string }
  /** `server.close()` was called, or another thread took the connection over. */
  | { readonly type: 'local' }
  /** A system call failed. */
  | { readonly type: 'system'; readonly error: Error };

/** A device behind a vfio-user connection. */
export interface VfioUserDevice {
  /** Nine regions, by {@link Region} index. Fixed for the life of a connection. */
  readonly regions: readonly VfioUserRegion[];
  /** Number of vectors of each of the five {@link Irq} indexes; 0 where there is none. Fixed likewise. */
  readonly irqCounts: readonly number[];
  /** Asked for each write before the device is. Default: none. */
  readonly doorbells?: RegionDoorbells | undefined;

  /**
   * Reads one register. `offset + width` lies inside the region; accesses of 1, 2 and 4 bytes arrive as the guest made
   * them, aligned or not; longer ones are split into naturally aligned pieces, ascending.
   * @returns the value, unsigned
   */
  readRegion(region: number, offset: number, width: AccessWidth): number;
  /** Writes one register; like {@link VfioUserDevice.readRegion}. `value` is unsigned and fits the width. */
  writeRegion(region: number, offset: number, width: AccessWidth, value: number): void;

  /**
   * A vector got an eventfd, a new one in the place of the old, or lost it. Called after the change: what the device
   * signals from here on reaches the guest.
   */
  vectorChanged?(irq: number, vector: number, assigned: boolean): void;
  /** The client masked or unmasked a vector (INTx only: QEMU unmasks after the guest serviced the line). */
  maskChanged?(irq: number, vector: number, masked: boolean): void;

  /** A window of guest memory appeared. */
  dmaMapped?(gpa: number, length: number): void;
  /** A window went; when this returns the device must not touch it any more. The window is already unusable. */
  dmaUnmapped?(gpa: number, length: number): void;

  /** DEVICE_RESET. Function-level reset does not come here: it is a config write. */
  reset(): void;
  /** The last call of a connection: no access, no memory and no interrupt after it. */
  disconnected(reason: DisconnectReason): void;
}

/** A stretch of guest memory in place. After disposal and after the window went, its bytes are no longer the guest's. */
export interface DmaAperture extends Disposable {
  readonly gpa: number;
  readonly length: number;
  readonly bytes: Buffer;
}

/** Guest memory as the client mapped it; has the shape of the device layer's `GuestMemory`. Not policed for bus mastering. */
export interface DmaMemory {
  /** @returns false when any byte is not readable memory: `into` is then all ones */
  read(gpa: number, into: Uint8Array): boolean;
  /** @returns false when any byte is not writable memory: nothing is then written */
  write(gpa: number, from: Uint8Array): boolean;
  /** @returns undefined where the range is not all memory that can be mapped in place; the caller disposes it */
  aperture(
    gpa: number,
    length: number,
    options?: { readonly readOnly?: boolean },
  ): DmaAperture | undefined;
}

/** The server as a device uses it. `VfioUserServer` implements it. */
export interface VfioUserPort {
  readonly memory: DmaMemory;
  /**
   * Signals a message-signalled vector (or ERROR, REQUEST): one eventfd write. Without an eventfd it is latched and
   * fires when one arrives. Never throws.
   */
  signal(irq: number, vector: number): void;
  /** Drives INTx. The server masks itself after each signal and signals again on unmask while the line is asserted. */
  setInterruptLine(asserted: boolean): void;
}
