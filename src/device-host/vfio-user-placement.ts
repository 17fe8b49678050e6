import type { DevicePlacement, PlacedDevice, PlacementRequest } from '../hdv/device-placement.ts';
import type { LocalDeviceHost } from './local-device-host.ts';
import { PlacedWorkers } from './placed-workers.ts';
import { VfioUserWorkerDevice } from './vfio-user-worker-device.ts';

/** What a {@link VfioUserPlacement} needs. */
export interface VfioUserPlacementOptions {
  readonly deviceHost: LocalDeviceHost;
  /** A path for a socket that is not in use. */
  readonly socketPath: () => string;
  /** See `VfioUserWorkerOptions`. */
  readonly stallLimitMs?: number | undefined;
  readonly heapLimit?: number | undefined;
}

/** Loads devices on workers, each of which serves its device over vfio-user. */
export class VfioUserPlacement implements DevicePlacement {
  readonly #options: VfioUserPlacementOptions;
  readonly #placed: PlacedWorkers;

  constructor(options: VfioUserPlacementOptions) {
    this.#options = options;
    this.#placed = new PlacedWorkers(options.deviceHost);
  }

  async place(request: PlacementRequest): Promise<PlacedDevice> {
    const { socketPath, stallLimitMs, heapLimit } = this.#options;
    const worker = await VfioUserWorkerDevice.load({
      source: request.source,
      trace: request.trace,
      socketPath,
      notify: (notice) => request.notify(notice),
      stallLimitMs,
      heapLimit,
    });
    return await this.#placed.announce(request, worker);
  }

  /** Ends the devices that nobody stopped. */
  async close(): Promise<void> {
    await this.#placed.close();
  }
}
