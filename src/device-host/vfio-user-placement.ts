import type { DevicePlacement, PlacedDevice, PlacementRequest } from '../hdv/device-placement.ts';
import type { LocalDeviceHost } from './local-device-host.ts';
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
  readonly #devices = new Set<VfioUserWorkerDevice>();

  constructor(options: VfioUserPlacementOptions) {
    this.#options = options;
  }

  async place(request: PlacementRequest): Promise<PlacedDevice> {
    const { deviceHost, socketPath, stallLimitMs, heapLimit } = this.#options;
    const worker = await VfioUserWorkerDevice.load({
      source: request.source,
      trace: request.trace,
      socketPath,
      notify: (notice) => request.notify(notice),
      stallLimitMs,
      heapLimit,
    });
    this.#devices.add(worker);
    const end = async (): Promise<void> => {
      await worker.close();
      this.#devices.delete(worker);
    };
    try {
      const { host, classId, instanceId } = request;
      const device = await deviceHost.announce(host, classId, instanceId, worker);
      return {
        device,
        get name() {
          return worker.name;
        },
        get shape() {
          return worker.shape;
        },
        restartsInPlace: true,
        restart: (request) => worker.restart(request),
        stop: async () => {
          await deviceHost.release(device);
          await end();
        },
      };
    } catch (error) {
      await end();
      throw error;
    }
  }

  /** Ends the devices that nobody stopped. */
  async close(): Promise<void> {
    await Promise.all([...this.#devices].map((device) => device.close()));
    this.#devices.clear();
  }
}
