import { DOORBELLS } from '../../ffi/gate/gate-layout.ts';
import { InterceptGate } from '../../ffi/gate/intercept-gate.ts';
import type { WindowsSystem } from '../../ffi/windows-system.ts';
import type {
  DevicePlacement,
  PlacedDevice,
  PlacementRequest,
  RestartResult,
} from '../../hdv/device-placement.ts';
import { withdrawDirectAccess } from '../../hdv/hdv-direct-access.ts';
import { HdvError } from '../../hdv/hdv-error.ts';
import type { DoorbellEntries } from '../../hdv/native/doorbell-events.ts';
import type { NativeVmDeviceHost } from '../../hdv/native/native-vm-device-host.ts';
import type { HDV_DEVICE, HDV_HOST } from '../../hdv/vm-device-host.ts';
import type { FunctionShape } from '../../pci/device-callbacks.ts';
import type { LibraryPaths } from './library-paths.ts';
import { WorkerDevice } from './worker-device.ts';

/** What a {@link WindowsPlacement} needs. */
export interface WindowsPlacementOptions {
  readonly libraries: LibraryPaths;
  readonly system: WindowsSystem;
  readonly vmDeviceHost: NativeVmDeviceHost;
  /** See `WindowsHostOptions`. */
  readonly stallLimitMs?: number | undefined;
  readonly heapLimit?: number | undefined;
  /** The word of a device host that is not 0 once its teardown began. */
  readonly tornDownWord: (host: HDV_HOST) => Int32Array;
}

/** A device instance of Hyper-V, which nobody can destroy: it lives until its device host is torn down. */
interface Instance {
  readonly host: HDV_HOST;
  /** Not 0 once the teardown of its device host began; later hosts may get the same handle. */
  readonly tornDown: Int32Array;
  readonly gate: InterceptGate;
  /** Contexts of its doorbells, as many as its devices have needed. */
  readonly doorbells: number[];
  device: HDV_DEVICE | undefined;
}

/**
 * Loads devices on workers, each of which serves its device to Hyper-V through a gate. An instance whose device has
 * ended is kept, with its gate closed: the next device with the same ids takes it over, as there is no way to make it
 * again.
 */
export class WindowsPlacement implements DevicePlacement {
  readonly #options: WindowsPlacementOptions;
  readonly #devices = new Set<WorkerDevice>();
  readonly #vacant = new Map<string, Instance>();

  constructor(options: WindowsPlacementOptions) {
    this.#options = options;
  }

  async place(request: PlacementRequest): Promise<PlacedDevice> {
    const key = [request.host, request.classId, request.instanceId].join(' ').toLowerCase();
    const instance = this.#takeVacant(key) ?? this.#makeInstance(request.host);
    let device: WorkerDevice;
    try {
      device = await this.#load(request, instance);
    } catch (error) {
      this.#leave(key, instance);
      throw error;
    }
    /** Settles with the restart before: each takes the place of the one that there is then. */
    let turn: Promise<unknown> = Promise.resolve();
    const restart = async (keepState: boolean): Promise<RestartResult> => {
      await device.reload();
      await this.#settle(request, instance, device);
      return { kept: false, ...(keepState ? { reason: NOT_CARRIED } : {}) };
    };
    const stop = async (): Promise<void> => {
      await device.close();
      if (this.#devices.delete(device)) this.#leave(key, instance);
    };
    try {
      checkInterrupts(device);
      await this.#settle(request, instance, device);
      return {
        device: instance.device as HDV_DEVICE,
        get name() {
          return device.name;
        },
        get shape() {
          return device.shape;
        },
        restartsInPlace: true,
        restart: ({ keepState = false } = {}) => {
          const restarted = turn.then(() => restart(keepState));
          turn = restarted.catch(() => undefined);
          return restarted;
        },
        takeRefusal: () => device.takeRefusal(),
        stop,
      };
    } catch (error) {
      await stop();
      throw asHdvError(error);
    }
  }

  /** A device host is gone, and its instances with it. */
  forget(host: bigint): void {
    for (const [key, instance] of this.#vacant)
      if (instance.host === host) this.#vacant.delete(key);
  }

  /** Ends the devices that nobody stopped. */
  async close(): Promise<void> {
    await Promise.all([...this.#devices].map((device) => device.close()));
    this.#devices.clear();
    this.#vacant.clear();
  }

  #makeInstance(host: HDV_HOST): Instance {
    const gate = InterceptGate.create(this.#options.system);
    const tornDown = this.#options.tornDownWord(host);
    return { host, tornDown, gate, doorbells: [], device: undefined };
  }

  #takeVacant(key: string): Instance | undefined {
    const instance = this.#vacant.get(key);
    this.#vacant.delete(key);
    return instance;
  }

  /** Nobody uses the instance any more; as long as its device host lives, somebody may again. */
  #leave(key: string, instance: Instance): void {
    if (instance.device === undefined || isTornDown(instance)) return;
    this.#vacant.set(key, instance);
  }

  async #load(request: PlacementRequest, instance: Instance): Promise<WorkerDevice> {
    const { heapLimit, libraries, stallLimitMs, system, vmDeviceHost } = this.#options;
    const device: WorkerDevice = await WorkerDevice.load({
      source: request.source,
      trace: request.trace,
      libraries,
      gate: instance.gate,
      notify: (notice) => request.notify(notice),
      gone: (left, failed) => {
        const lost = isTornDown(instance) ? undefined : instance.device;
        if (lost === undefined) {
          left.release(system, undefined);
          return;
        }
        if (failed) withdrawDirectAccess(vmDeviceHost, lost, device.shape);
        left.release(system, (address) => vmDeviceHost.undoMapping(lost, address));
      },
      stallLimitMs,
      heapLimit,
    });
    this.#devices.add(device);
    return device;
  }

  /** Gives the device its instance: a new one, or the one that it, or another device, had before. */
  async #settle(
    { classId, host, instanceId }: PlacementRequest,
    instance: Instance,
    device: WorkerDevice,
  ): Promise<void> {
    const { gate } = instance;
    const parts = {
      tornDown: instance.tornDown,
      doorbells: doorbellEntries(instance, device.shape),
    };
    if (instance.device !== undefined) {
      await device.adopt({ ...parts, device: instance.device });
      return;
    }
    const table = { table: gate.tableAddress, context: gate.contextAddress };
    instance.device = await device.create({ ...parts, host, classId, instanceId, table });
  }
}

const NOT_CARRIED = 'the host windows carries no state from one device to the next';

function isTornDown({ tornDown }: Instance): boolean {
  return Atomics.load(tornDown, 0) !== 0;
}

/** As many doorbells as the gate and the device have. */
function doorbellEntries(
  { doorbells, gate }: Instance,
  { doorbells: rows }: FunctionShape,
): DoorbellEntries {
  const wanted = rows.reduce((sum, { count }) => sum + count, 0);
  while (doorbells.length < Math.min(wanted, DOORBELLS)) doorbells.push(gate.addDoorbell().context);
  return { callback: gate.doorbellCallback, contexts: doorbells };
}

/** Refused before there is an instance, which could not be taken back. */
function checkInterrupts({ name, shape }: WorkerDevice): void {
  if (shape.interrupts.kind !== 'intx') return;
  throw new HdvError(
    'HdvCreateDeviceInstance',
    'ERROR_NOT_SUPPORTED',
    `${name} uses INTx, which the host windows does not have: use msi() or msix()`,
  );
}

/** An error that came from another thread has the fields of its class, but not the class. */
function asHdvError(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'HdvError' || error instanceof HdvError) {
    return error;
  }
  const { function: name, hresult } = error as Error & { function: string; hresult: number };
  const reason = error.message.slice(error.message.indexOf(': ') + 2);
  return new HdvError(name, hresult, reason, { cause: error.cause });
}
