import type { Width } from '../device/mmio-region.ts';
import type { ResetKind } from '../device/services.ts';

/** HDV_PCI_PNP_ID, by value. */
export interface PciPnpId {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revisionId: number;
  readonly progIf: number;
  readonly subClass: number;
  readonly baseClass: number;
  readonly subVendorId: number;
  readonly subSystemId: number;
}

/** What GetDetails answers. */
export interface PciDetails {
  readonly pnpId: PciPnpId;
  /** Six values, one per slot: what the BAR reads back after all ones were written; 0 where there is none. */
  readonly probedBars: readonly number[];
}

/**
 * The ten callbacks of HDV_PCI_DEVICE_INTERFACE version 1, which every host drives and `PciFunction` answers.
 * A failing HRESULT is a thrown error, for the first six only: accesses never throw.
 */
export interface PciDeviceCallbacks {
  initialize(): void;
  teardown(): void;
  setConfiguration(values: readonly string[]): void;
  /** Idempotent; may be called more than once. */
  getDetails(): PciDetails;
  start(): void;
  stop(): void;
  /** @param offset dword-aligned byte offset; 0 above the implemented size */
  readConfigSpace(offset: number): number;
  writeConfigSpace(offset: number, value: number): void;
  /** @param bar slot 0 to 5; @param offset bytes from the BAR's base */
  readInterceptedMemory(bar: number, offset: number, width: Width): number;
  writeInterceptedMemory(bar: number, offset: number, width: Width, value: number): void;
}

/** One BAR as hosts other than HDV need it. */
export interface BarShape {
  readonly slot: number;
  /** Bytes, a power of two. */
  readonly size: number;
  readonly is64Bit: boolean;
  readonly prefetchable: boolean;
}

/** How a function interrupts, and where its MSI-X structures are. */
export type InterruptShape =
  | { readonly kind: 'none' | 'intx' }
  | { readonly kind: 'msi'; readonly count: number; readonly capability: number }
  | {
      readonly kind: 'msix';
      readonly count: number;
      readonly capability: number;
      readonly table: { readonly bar: number; readonly offset: number };
      readonly pendingBits: { readonly bar: number; readonly offset: number };
    };

/** A row of doorbells in a BAR whose writes may become notices: the value does not count. */
export interface DoorbellShape {
  readonly bar: number;
  /** Of the first doorbell, bytes from the BAR's base. */
  readonly offset: number;
  readonly count: number;
  /** Bytes from one doorbell to the next. */
  readonly stride: number;
}

/** Pages of a BAR that the guest may map directly. */
export interface MappedShape {
  readonly bar: number;
  /** Bytes from the BAR's base, a multiple of the page size. */
  readonly offset: number;
  /** Bytes, a multiple of the page size. */
  readonly size: number;
}

/** The fixed facts of a function: known at construction, the same for its whole life. */
export interface FunctionShape {
  readonly bars: readonly BarShape[];
  readonly interrupts: InterruptShape;
  /** 256 or 4096 bytes. */
  readonly configSize: number;
  /** Doorbells that a host may serve by notices instead of intercepts. */
  readonly doorbells: readonly DoorbellShape[];
  /** What a host may let the guest map instead of intercepting it. */
  readonly mapped: readonly MappedShape[];
}

/** What hosts that can do more than HDV use besides the ten callbacks. */
export interface PciFunctionExtras {
  readonly shape: FunctionShape;
  /** The error that stopped the function, if one did; it then answers as if unplugged. */
  readonly failure: Error | undefined;
  /** What {@link PciDeviceCallbacks.readConfigSpace} answers, for the host's own use: no observer sees it. */
  peekConfigSpace(offset: number): number;
  reset(kind: ResetKind): void;
  save(): unknown;
  restore(state: unknown): void;
  /** Writes one MSI-X table entry as a guest would, whatever the command register says. */
  setMsixEntry(vector: number, address: number, data: number, masked: boolean): void;
}
