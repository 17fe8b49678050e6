import type { DeviceEndpoint } from '../compute/device-directory.ts';
import type { PlacedDevice, PlacementRequest } from '../hdv/device-placement.ts';
import type { LocalDeviceHost } from './local-device-host.ts';

/** A device on a worker: what is announced of it, and what its developer sees of it. */
export interface WorkerPlaced
  extends DeviceEndpoint,
    Pick<PlacedDevice, 'name' | 'shape' | 'restart'> {
  /** Ends the device and what it has of a worker. Safe to call twice. */
  close(): Promise<void>;
}

/** The devices of one placement on workers: announced to the device host, and ended with their instance or the placement. */
export class PlacedWorkers {
  readonly #deviceHost: LocalDeviceHost;
  readonly #devices = new Set<WorkerPlaced>();

  constructor(deviceHost: LocalDeviceHost) {
    this.#deviceHost = deviceHost;
  }

  /** Announces a device under the ids of its request; it is ended when that fails. */
  async announce(request: PlacementRequest, placed: WorkerPlaced): Promise<PlacedDevice> {
    this.#devices.add(placed);
    const end = async (): Promise<void> => {
      await placed.close();
      this.#devices.delete(placed);
    };
    try {
      const { host, classId, instanceId } = request;
      const device = await this.#deviceHost.announce(host, classId, instanceId, placed);
      return {
        device,
        get name() {
          return placed.name;
        },
        get shape() {
          return placed.shape;
        },
        restartsInPlace: true,
        restart: (restart) => placed.restart(restart),
        stop: async () => {
          await this.#deviceHost.release(device);
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
