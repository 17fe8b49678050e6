import type { LocalDeviceHost } from '../../device-host/local-device-host.ts';
import { PlacedWorkers } from '../../device-host/placed-workers.ts';
import type { SimulatedEngine } from '../../engines/simulated/engine.ts';
import type {
  DevicePlacement,
  PlacedDevice,
  PlacementRequest,
} from '../../hdv/device-placement.ts';
import { type DeviceModule, DeviceThread, type DeviceThreadOptions } from './device-thread.ts';
import { type Residence, WorkerDevice } from './worker-device.ts';

/** What a {@link SimulatedPlacement} needs. */
export interface SimulatedPlacementOptions extends DeviceThreadOptions {
  readonly deviceHost: LocalDeviceHost;
  readonly engine: SimulatedEngine;
}

/** Loads devices on workers: each on its own, or those of a group together on one. */
export class SimulatedPlacement implements DevicePlacement {
  readonly sharesWorkers = true;
  readonly #options: SimulatedPlacementOptions;
  readonly #placed: PlacedWorkers;
  /** Threads by system and group; each begins as the promise of its first device. */
  readonly #groups = new Map<string, Promise<DeviceThread>>();

  constructor(options: SimulatedPlacementOptions) {
    this.#options = options;
    this.#placed = new PlacedWorkers(options.deviceHost);
  }

  async place(request: PlacementRequest): Promise<PlacedDevice> {
    const { engine } = this.#options;
    const { systemId } = request;
    let device: WorkerDevice | undefined;
    const placed = await WorkerDevice.load({
      load: () => this.#load(request, () => device?.hidePages()),
      machine: () => engine.machineOf(systemId),
      module: moduleOf(request),
      isShared: request.group !== undefined,
    });
    device = placed;
    return await this.#placed.announce(request, placed);
  }

  /** Ends the devices that nobody stopped. */
  async close(): Promise<void> {
    await this.#placed.close();
  }

  /** @param failed called when the device has failed, before that is told */
  async #load(request: PlacementRequest, failed: () => void): Promise<Residence> {
    const { group, systemId, notify } = request;
    const module = moduleOf(request);
    const report = (notice: Parameters<typeof notify>[0]): void => {
      if (notice.type === 'failed') failed();
      notify(notice);
    };
    if (group === undefined) {
      const { thread, first } = await DeviceThread.start(module, false, report, this.#options);
      return { thread, resident: first };
    }
    const key = `${systemId} ${group}`;
    const known = await this.#groups.get(key)?.catch(() => undefined);
    if (known !== undefined && !known.over && known.size > 0) {
      return { thread: known, resident: await known.load(module, report) };
    }
    const starting = DeviceThread.start(module, true, report, this.#options);
    const thread = starting.then(({ thread }) => thread);
    thread.catch(() => undefined);
    this.#groups.set(key, thread);
    const { first } = await starting;
    return { thread: await thread, resident: first };
  }
}

function moduleOf({ source, trace }: PlacementRequest): DeviceModule {
  return { module: source.module.href, exportName: source.exportName, trace };
}
