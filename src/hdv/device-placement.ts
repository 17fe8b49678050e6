import type { FunctionShape } from '../pci/device-callbacks.ts';
import type { FunctionNotice } from '../pci/host.ts';
import type { HDV_DEVICE, HDV_HOST } from './vm-device-host.ts';

/** A device class in a module, which a worker can load. */
export interface DeviceSource {
  readonly module: URL;
  /** Name of the exported class; undefined: the default export, or else the only device class the module exports. */
  readonly exportName: string | undefined;
}

/**
 * What happens to a device that runs elsewhere. `failed`: it answers as if unplugged from now on. `refused`: a
 * lifecycle callback threw, where the platform passes on no more than a number.
 */
export type PlacementNotice =
  | FunctionNotice
  | { readonly type: 'refused'; readonly callback: string; readonly error: Error };

/** One device to be loaded on a worker. */
export interface PlacementRequest {
  readonly host: HDV_HOST;
  readonly systemId: string;
  readonly classId: string;
  readonly instanceId: string;
  readonly source: DeviceSource;
  /** Memory of a trace ring, into which the device's thread records what happens to the device. */
  readonly trace?: SharedArrayBuffer;
  /** Devices of one system and group share a worker. Only where {@link DevicePlacement.sharesWorkers}. */
  readonly group?: string;
  /** Receives what the device reports, from the time `place` is called until `stop` has resolved. */
  notify(notice: PlacementNotice): void;
}

/** How {@link PlacedDevice.restart} begins. */
export interface RestartRequest {
  /** The fresh device goes on with the state of the old one, where that can be said and the fresh one takes it. */
  readonly keepState?: boolean;
}

/** How a device came back. */
export interface RestartResult {
  /** Does the device have the registers of the old one? Otherwise they are as after a reset. */
  readonly kept: boolean;
  /** Why they were not kept, where that was asked for. */
  readonly reason?: string;
}

/** A device that runs on a worker. */
export interface PlacedDevice {
  /** Class name of the device. */
  readonly name: string;
  readonly device: HDV_DEVICE;
  readonly shape: FunctionShape;
  /** Ends the device and its worker and withdraws the instance. Safe to call twice. */
  stop(): Promise<void>;
  /**
   * Loads the module afresh on a new worker under the same instance id. The device must not be in a machine, unless
   * {@link PlacedDevice.restartsInPlace}: then a module that does not load, or whose device looks different to the
   * guest, is refused, and the old device goes on.
   */
  restart(request?: RestartRequest): Promise<RestartResult>;
  /** Can the fresh device take the place of the old one in a machine? What the guest has set up is kept then. */
  readonly restartsInPlace?: boolean;
  /** What the device threw in the last lifecycle callback that failed since this was asked last. */
  takeRefusal?(): Promise<Error | undefined>;
}

/**
 * Loads devices on workers, for hosts that have `worker` among their placements. Rejects with one clear message when
 * the module cannot be loaded, has no such export, or its class throws at construction.
 */
export interface DevicePlacement {
  /** Can several devices share a worker? Otherwise each has its own. */
  readonly sharesWorkers?: boolean;
  place(request: PlacementRequest): Promise<PlacedDevice>;
}
