import type { Clock } from '../device/services.ts';
import type { HANDLE, HCS_SYSTEM } from '../hcs/core/handles.ts';
import type { DevicePlacement } from './device-placement.ts';
import type { HostCapabilities } from './host-capabilities.ts';
import type { HDV_DEVICE, VmDeviceHost } from './vm-device-host.ts';

/** An event for `HdvRegisterDoorbell`, and what hears it. Dispose it after the doorbell was unregistered. */
export interface DoorbellEvent extends Disposable {
  readonly handle: HANDLE;
}

/** Memory for `HdvCreateSectionBackedMmioRange`. Dispose it after the range was destroyed. */
export interface Section extends Disposable {
  readonly handle: HANDLE;
  /** Where the memory starts in what the handle names; 0 when absent. */
  readonly offsetInPages?: number;
  /** The memory, zero at first. Harmless to touch after disposal. */
  readonly bytes: Buffer;
}

/** Where a device will map a section. */
export interface SectionPlace {
  readonly requestor: HDV_DEVICE;
  readonly bar: number;
  /** Bytes from the BAR's base, a multiple of the page size. */
  readonly offset: number;
}

/** What a device needs of its host and HDV has no function for. */
export interface DevicePlatform {
  /** Time as the machine of this device has it. */
  clock(requestor: HDV_DEVICE): Clock;
  /** Drives the device's INTx line; present only where the host has the capability `intx`. */
  setInterruptLine?(requestor: HDV_DEVICE, asserted: boolean): void;
  /**
   * Withdraws an instance before its device host is torn down, so that its id can be used again. Absent where the
   * platform cannot (Windows): the instance then lives until the teardown.
   */
  release?(requestor: HDV_DEVICE): Promise<void>;
  /** Do stores into write-protected apertures end the process? */
  readonly storesFault?: boolean;
  /**
   * Makes an event for a doorbell. `ring` runs on the calling thread some time after the event was signalled, once for
   * any number of signals. Undefined when there are no more; absent where the host has no doorbells.
   */
  doorbellEvent?(requestor: HDV_DEVICE, ring: () => void): DoorbellEvent | undefined;
  /**
   * Makes memory that can be mapped into a BAR. Undefined when there is none; absent where the host has no mapped ranges.
   * @param size bytes, a multiple of the page size
   * @param place where it will be mapped, if that is known: a VMM that asks once can then map it, too
   */
  section?(size: number, place?: SectionPlace): Section | undefined;
  /**
   * Does the host know a device while its Start runs, so that doorbells and ranges can be asked for at once? Default:
   * not before Start was answered.
   */
  readonly knowsDeviceInStart?: boolean;
  /**
   * The broker's COM object for `HdvInitializeDeviceHostForProxy`, which registers the device host with the system by
   * `HdvProxyDeviceHost`; stays as long as the process. Absent where there is no COM.
   */
  proxyInterface?(computeSystem: HCS_SYSTEM): bigint;
}

/** A host's side of HDV: the contract, and what goes with it. */
export interface HdvBinding {
  /** Name of the host: `'simulated'`, `'linux'` or `'windows'`. */
  readonly hostName: string;
  readonly vmDeviceHost: VmDeviceHost;
  readonly capabilities: HostCapabilities;
  readonly platform: DevicePlatform;
  /** Present when `worker` is among `capabilities.placements`. */
  readonly placement?: DevicePlacement;
}

let provider: (() => HdvBinding) | undefined;

/** Sets where {@link selectedHdv} takes its binding from. Called by host selection, not by users. */
export function provideHdv(next: () => HdvBinding): void {
  provider = next;
}

/**
 * The selected host's binding.
 * @throws Error when no host was selected
 */
export function selectedHdv(): HdvBinding {
  if (provider === undefined) {
    throw new Error(
      "Cannot reach a device host as no host is selected: import 'hdvkit' or 'hdvkit/hdv' first",
    );
  }
  return provider();
}
