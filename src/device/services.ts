/** What surrounds a device while it is attached. A device reaches these through `this`, never by import. */

/** Guest memory as one device sees it. A guest-physical address is a number: 0 to 2^53 - 1. */
export interface GuestMemory {
  /**
   * Copies `into.length` bytes from guest memory at `gpa`.
   * @returns false when any byte is not memory or the guest has bus mastering off: `into` is then all ones.
   */
  read(gpa: number, into: Uint8Array): boolean;
  /**
   * Copies `from` to guest memory at `gpa`.
   * @returns false when any byte is not writable memory or the guest has bus mastering off: nothing is then written.
   */
  write(gpa: number, from: Uint8Array): boolean;
  /**
   * Maps guest memory; `undefined` where {@link GuestMemory.read} gives `false`, and where a host reaches memory by
   * messages only, or in pieces that do not meet on page boundaries: copy then. The caller disposes it. Opening the same
   * range again is cheap, so that an aperture for each piece of work costs little.
   *
   * Bus mastering (PCIe 6.0, 7.5.1.1.3) is asked when the aperture is mapped, and not again: its bytes are plain memory,
   * so nothing stands between an access and the guest, and they cannot be taken away in the middle of one. An aperture
   * held open goes on reaching the guest after the guest turned bus mastering off or put the function into D3hot;
   * reset, stop, and failure of the device end it. A device that must heed the bit at once opens an aperture for each
   * piece of work, with `using`, or copies with {@link GuestMemory.read} and {@link GuestMemory.write}, which ask every time.
   */
  aperture(
    gpa: number,
    length: number,
    options?: { readonly readOnly?: boolean },
  ): Aperture | undefined;
}

/**
 * A window onto guest memory. `using`-disposable; safe to touch after disposal, unplug or exit of the VM. Where the
 * machine takes memory away under an open aperture (hot-unplug, an IOMMU of the guest), its bytes are zeros from then
 * on, and what is written there reaches nobody; a {@link GuestMemory.read} of the same address says so.
 */
export interface Aperture extends Disposable {
  readonly gpa: number;
  readonly length: number;
  /** The guest's bytes, in place, until disposal; after it the bytes are no longer the guest's. */
  readonly bytes: Buffer;
}

/** A pending call; cancelling one that ran or was cancelled does nothing. */
export interface Timer {
  cancel(): void;
}

/**
 * Time as the machine has it: real time on a real guest, virtual time in the simulated machine.
 *
 * Work that takes long goes in slices, each of which asks for the next with `after(0, …)`: accesses and slices then take
 * turns, so that neither starves. How long a read waits for the device's own work:
 *
 * | device on | a read waits for at most | a slice that is due waits for at most |
 * |---|---|---|
 * | a worker, over vfio-user | one slice, and what the guest sent before | 64 messages; one of many writes counts as many, and is served as a whole |
 * | a worker of the simulated machine | one slice of each timer that is due; 64 posted writes and one read of each other processor | 5 ms, and 64 accesses of each processor |
 * | a worker under Hyper-V | one slice of each timer that is due | 5 ms, and one access |
 * | the thread that attached it | as its event loop has it | as its event loop has it |
 */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  readonly now: number;
  /** Calls `fn` once, `ms` from now, unless the device is stopped or reset before. */
  after(ms: number, fn: () => void): Timer;
}

/** Why a device is reset: power-on of the machine, function-level reset, or the VMM going away. */
export type ResetKind = 'cold' | 'function' | 'disconnect';

/** Everything a device is given when it is attached. */
export interface DeviceServices {
  readonly memory: GuestMemory;
  readonly clock: Clock;
  /** Counts and reports something that the guest did against the device's specification. */
  guestError(text: string): void;
}
