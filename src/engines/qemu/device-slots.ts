import type { EngineDevice } from '../../compute/engine.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT, type HresultName } from '../../hcs/hresult.ts';
import type { HandedFiles } from './handed-files.ts';
import type { QmpClient } from './qmp.ts';
import { type RootPorts, rootPort } from './root-ports.ts';
import { unplugDevice } from './unplug.ts';

/** What the endpoint of a device must resolve to for this engine. */
export interface VfioUserConnection {
  readonly kind: 'vfio-user';
  readonly socketPath: string;
  readonly msix: boolean;
}

/** How devices are plugged. */
export interface DeviceSlotsOptions {
  /** How QEMU comes by the sockets of devices. */
  readonly files: Pick<HandedFiles, 'lendSocket'>;
  /** Milliseconds QEMU waits for a device to answer; its own default is 5000. */
  readonly messageTimeout?: number | undefined;
  /** May devices with MSI-X be unplugged? QEMU 11.1.3 and those before it abort then. */
  readonly msixUnplug: boolean;
  /** Milliseconds that the guest has to let go of a device; 20,000. */
  readonly unplugLimit?: number | undefined;
  /** Called when {@link DeviceSlots.records} has changed, before QEMU connects to a device. */
  readonly changed?: (() => void) | undefined;
}

/** A device of another process in a machine, as it is found again when the machine's owner is no more. */
export interface PluggedDevice {
  readonly instanceId: string;
  readonly msix: boolean;
}

interface Plugged {
  readonly device: EngineDevice;
  readonly id: string;
  readonly msix: boolean;
}

/** The FlexibleIov devices of one machine. */
export class DeviceSlots {
  readonly #qmp: QmpClient;
  readonly #options: DeviceSlotsOptions;
  readonly #ports: RootPorts;
  readonly #plugged = new Map<string, Plugged>();

  /** @param ports what all devices of the machine share */
  constructor(qmp: QmpClient, ports: RootPorts, options: DeviceSlotsOptions) {
    this.#qmp = qmp;
    this.#ports = ports;
    this.#options = options;
  }

  /** Devices that are in the machine. */
  get instanceIds(): readonly string[] {
    return [...this.#plugged.values()].map(({ device }) => device.instanceId);
  }

  /** What {@link DeviceSlots.adopt} takes. */
  get records(): readonly PluggedDevice[] {
    return [...this.#plugged.values()].map(({ device, msix }) => ({
      instanceId: device.instanceId,
      msix,
    }));
  }

  /**
   * Knows devices again that another process has plugged. Whoever serves them has gone on, or not; nothing can be asked of
   * them by their endpoints any more.
   */
  adopt(records: readonly PluggedDevice[]): void {
    for (const { instanceId, msix } of records) {
      const key = instanceId.toLowerCase();
      const id = `dev-${key}`;
      if (!this.#ports.has(id)) continue;
      this.#plugged.set(key, {
        device: { instanceId, configuration: [], endpoint: NOBODY },
        id,
        msix,
      });
    }
  }

  /**
   * Powers a device on and connects QEMU to it.
   * @throws HcsError when no slot is free, or QEMU refuses; the device is off again then
   */
  async plug(device: EngineDevice): Promise<void> {
    const key = device.instanceId.toLowerCase();
    if (this.#plugged.has(key)) {
      throw failure(
        'ERROR_ALREADY_EXISTS',
        `device ${device.instanceId} is in the machine already`,
      );
    }
    const id = `dev-${key}`;
    const port = this.#ports.take(id);
    const entry: Plugged = { device, id, msix: true };
    this.#plugged.set(key, entry); // Taken while QEMU and the device get to know each other.
    try {
      const connection = await device.endpoint.powerOn(device.configuration);
      if (!isConnection(connection)) {
        throw failure(
          'E_INVALIDARG',
          `device ${device.instanceId} cannot be reached by QEMU: its device host offers no vfio-user socket`,
        );
      }
      this.#plugged.set(key, { ...entry, msix: connection.msix });
      this.#options.changed?.();
      const { name: path, back } = await this.#options.files.lendSocket(
        this.#qmp,
        connection.socketPath,
      );
      const connected = this.#qmp.execute('device_add', {
        driver: 'vfio-user-pci',
        id: entry.id,
        bus: rootPort(port),
        socket: { type: 'unix', path },
        ...(this.#options.messageTimeout === undefined
          ? {}
          : { 'x-msg-timeout': this.#options.messageTimeout }),
      });
      try {
        await connected;
      } finally {
        await back();
      }
    } catch (error) {
      this.#plugged.delete(key);
      this.#ports.release(id);
      const own = await device.endpoint.failure;
      await device.endpoint.powerOff();
      if (own !== undefined) {
        throw failure('E_FAIL', `Device ${device.instanceId} failed: ${own.message}`, own);
      }
      if (error instanceof HcsError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw failure('E_FAIL', `QEMU cannot attach device ${device.instanceId}: ${reason}`, error);
    }
  }

  /**
   * Has the guest let go of a device, and powers it off.
   * @throws HcsError ERROR_NOT_SUPPORTED for a device with MSI-X, before anything happens; ERROR_TIMEOUT when the
   * guest does not let go
   */
  async unplug(instanceId: string): Promise<void> {
    const plugged = this.#plugged.get(instanceId.toLowerCase());
    if (plugged === undefined) {
      throw failure('ERROR_NOT_FOUND', `the machine has no device ${instanceId}`);
    }
    if (plugged.msix && !this.#options.msixUnplug) {
      throw failure(
        'ERROR_NOT_SUPPORTED',
        `Cannot remove device ${instanceId} as it has MSI-X: QEMU aborts, with the whole machine, when such a device is unplugged; give the device MSI, or end the machine`,
      );
    }
    await unplugDevice(this.#qmp, {
      id: plugged.id,
      what: `device ${plugged.device.instanceId}`,
      limit: this.#options.unplugLimit,
    });
    this.#plugged.delete(instanceId.toLowerCase());
    this.#ports.release(plugged.id);
    await plugged.device.endpoint.powerOff();
  }

  /** Powers off all devices: the machine is no more. */
  async powerOffAll(): Promise<void> {
    const all = [...this.#plugged.values()];
    this.#plugged.clear();
    await Promise.allSettled(all.map(({ device }) => device.endpoint.powerOff()));
  }
}

/** The endpoint of a device that another process has plugged. */
const NOBODY: EngineDevice['endpoint'] = {
  powerOn: () => Promise.reject(new Error('Cannot power on a device of an owner that has ended')),
  powerOff: () => Promise.resolve(),
};

function isConnection(value: unknown): value is VfioUserConnection {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, socketPath } = value as Partial<VfioUserConnection>;
  return kind === 'vfio-user' && typeof socketPath === 'string';
}

function failure(code: HresultName, message: string, cause?: unknown): HcsError {
  return new HcsError({
    function: 'HcsModifyComputeSystem',
    hresult: HRESULT[code],
    message,
    cause,
  });
}
