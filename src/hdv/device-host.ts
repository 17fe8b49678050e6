// Longer than most files: one class holds the devices of a system, from attaching to the end.
import { randomUUID } from 'node:crypto';
import type { PciDevice } from '../device/pci-device.ts';
import { abortable } from '../hcs/call.ts';
import type { ComputeSystem } from '../hcs/compute-system.ts';
import { type OwnedHandle, ownHandle } from '../hcs/owned-handle.ts';
import { AttachedDevice } from './attached-device.ts';
import type { Attachment, DeviceNotice } from './attachment.ts';
import type { RestartResult } from './device-placement.ts';
import { type HdvBinding, selectedHdv } from './hdv-binding.ts';
import type { HostCapabilities, Placement } from './host-capabilities.ts';
import { type HostingModel, initializeHost } from './initialize-host.ts';
import type { RestartPolicy } from './restart-schedule.ts';
import type { GUID, HDV_HOST } from './vm-device-host.ts';

/** EmulatorId of devices that do not ask for another. Any GUID will do: it is not a PCI identity. */
export const DEVICE_CLASS_ID: GUID = '5d1a7c52-6f0e-4f6b-9a77-0e2d5c3b8a41';

/**
 * EmulatorId of devices on restricted device hosts that do not ask for another: a class that Hyper-V knows, as a
 * machine takes only one device there of classes that it does not know.
 */
export const RESTRICTED_DEVICE_CLASS_ID: GUID = '872270e1-a899-4af6-b454-7193634435ad';

/** How {@link DeviceHost.create} sets up. */
export interface DeviceHostOptions {
  /** Where devices run, as their FlexibleIov entries say it; `External`. */
  readonly hostingModel?: HostingModel;
  /**
   * Receives what devices report. By default each report becomes a warning of this process
   * (`process.on('warning', …)`), so that nothing is lost in silence.
   */
  readonly report?: (notice: DeviceNotice) => void;
  /** The host to use instead of the selected one. */
  readonly binding?: HdvBinding;
}

/** How {@link DeviceHost.attach} attaches. */
export interface AttachOptions {
  /** Name of the class in the module; by default the default export, or the only device class there. */
  readonly export?: string;
  /** Strings for the device's `configure`. */
  readonly configuration?: readonly string[];
  /** Key of the FlexibleIov entry; by default a new GUID. */
  readonly instanceId?: GUID;
  /** EmulatorId of the FlexibleIov entry; by default {@link DEVICE_CLASS_ID}, or {@link RESTRICTED_DEVICE_CLASS_ID}. */
  readonly classId?: GUID;
  /** Where a module's device runs; by default the host's first placement. */
  readonly placement?: Placement;
  /**
   * The create document names the device already, with this instance and class id: no modify request is sent.
   * The document's configuration counts then.
   */
  readonly declared?: boolean;
  /** Memory of a trace ring, into which a device on a worker records what happens to it. */
  readonly trace?: SharedArrayBuffer;
  /**
   * Devices of one system and group share a worker, and with it its end when one of them does not return. By default
   * each device has its own. Only on hosts whose workers can be shared: `simulated`.
   */
  readonly group?: string;
  /**
   * Restart the device in place when it fails, with limits: see {@link RestartPolicy}; `never`. Each restart is
   * reported, and so is the end of them. Only for devices on workers.
   */
  readonly restart?: RestartPolicy;
  readonly signal?: AbortSignal;
}

/** How {@link DeviceHost.restart} restarts. */
export interface RestartOptions {
  /** The fresh device goes on with the state of the old one: what it saves is what the fresh one restores. */
  readonly keepState?: boolean;
  readonly signal?: AbortSignal;
}

/** Device hosts that have devices: each lives as long as the object of its system does. */
const inUse = new WeakMap<ComputeSystem, Set<DeviceHost>>();

/**
 * The devices that this process gives to one compute system. One per process and system, under Windows one per
 * process; it carries any number of devices. Attach before or after the start of the system.
 *
 * ```ts no-run
 * await using devices = await DeviceHost.create(system);
 * await devices.attach(new URL('./edu.ts', import.meta.url), { export: 'EduDevice' });
 * ```
 *
 * Disposal detaches nothing: it tears the device host down, and devices in a machine that still runs are dead. Call
 * {@link DeviceHost.detach} first where the guest shall see them go. One that is garbage-collected before is torn down
 * then, with a warning of the process; while it has devices it lives as long as the {@link ComputeSystem} does.
 */
export class DeviceHost implements AsyncDisposable {
  readonly #system: ComputeSystem;
  readonly #binding: HdvBinding;
  readonly #handle: HDV_HOST;
  readonly #hostingModel: HostingModel;
  readonly #owned: OwnedHandle;
  readonly #report: (notice: DeviceNotice) => void;
  readonly #attached = new Map<Attachment, AttachedDevice>();
  #isTornDown = false;
  #disposal: Promise<void> | undefined;

  private constructor(
    system: ComputeSystem,
    binding: HdvBinding,
    handle: HDV_HOST,
    hostingModel: HostingModel,
    report: (notice: DeviceNotice) => void,
  ) {
    this.#system = system;
    this.#binding = binding;
    this.#handle = handle;
    this.#hostingModel = hostingModel;
    this.#report = report;
    this.#owned = ownHandle(this, {
      what: `Device host of ${system.id}`,
      close: () => binding.vmDeviceHost.HdvTeardownDeviceHost(handle),
      within: system,
    });
  }

  /**
   * Makes this process a device host of a system, which must stay open as long. Under Windows this sets the COM
   * security of the process, unless somebody has set it before.
   * @throws HdvError ERROR_VID_PROCESS_ALREADY_SET when this process has one for the system, under Windows for any;
   * E_NOTIMPL for a restricted one where the host has none
   * @throws NativeLibraryError, NotSupportedError (by name) where Windows lacks the library or its functions
   */
  static async create(
    system: ComputeSystem,
    { binding = selectedHdv(), report = warn, hostingModel = 'External' }: DeviceHostOptions = {},
  ): Promise<DeviceHost> {
    const handle = await initializeHost(binding, system.handle, hostingModel);
    return new DeviceHost(system, binding, handle, hostingModel, report);
  }

  /** What this host can do. */
  get capabilities(): HostCapabilities {
    return this.#binding.capabilities;
  }

  /** Attached devices, in the order in which they were attached. */
  list(): readonly Attachment[] {
    return [...this.#attached.keys()];
  }

  /**
   * Attaches a device: an instance runs on this thread; the URL of a module is loaded where the host places devices,
   * on a worker of its own on hosts for real guests. In a running system the device has started, and the guest may see
   * it, when this resolves; before the start it begins with the system. When the signal aborts, what was attached is
   * taken back behind the rejection: its instance id may be taken for a moment longer.
   * @throws DeviceLoadError when the module has no such device or its constructor throws
   * @throws HdvError ERROR_ALREADY_EXISTS when the instance id is taken
   * @throws HcsError when the system refuses the device; its reason names the device's own where it has one
   */
  async attach(source: PciDevice | URL, options: AttachOptions = {}): Promise<Attachment> {
    const { signal } = options;
    signal?.throwIfAborted();
    this.#checkOpen();
    const device = new AttachedDevice(this.#report, {
      source,
      exportName: options.export,
      instanceId: withoutBraces(options.instanceId ?? randomUUID()),
      classId: withoutBraces(options.classId ?? this.#defaultClass),
      configuration: options.configuration ?? [],
      placement: this.#placementFor(source, options.placement),
      trace: options.trace,
      group: this.#groupFor(options.group),
      restart: options.restart ?? 'never',
    });
    if (device.schedule !== undefined) {
      if (device.placement !== 'worker') {
        throw new RangeError(
          `Cannot restart ${device.name} on failure: only a device on a worker can be replaced in place; attach the URL of its module with placement worker`,
        );
      }
      device.onFailed = () => this.#restartLater(device);
    }
    await abortable(this.#attach(device, options), signal);
    return device;
  }

  /**
   * Takes a device out of the system. Its instance id is free again where the host can withdraw instances. When the
   * signal aborts, the removal goes on.
   * @throws HcsError ERROR_NOT_SUPPORTED where the host cannot remove the device: it stays attached
   * @throws RangeError when it is not attached here
   */
  async detach(
    attachment: Attachment,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    signal?.throwIfAborted();
    const device = this.#find(attachment);
    await abortable(
      device.inTurn(() => this.#detach(device)),
      signal,
    );
  }

  /**
   * Puts a fresh device in the place of one, whose module is loaded anew: the way to bring a failed device back, and to
   * replace the class of a running one. On a worker that happens in place: the guest and its driver stay, what the
   * guest has set up (command register, BARs, MSI and MSI-X) is as it was, and registers are as after a reset, or with
   * `keepState` those of the old device, where that is alive and the fresh one takes them. A module that does not load,
   * or whose device looks different to the guest (identity, BARs, interrupts), is refused, and the old device goes on.
   *
   * A device on this thread is removed and added again under its instance id. When that fails half way, the device stays
   * attached and is in no machine: restart it again, or detach it. Restarts of one device come one after the other.
   * When the signal aborts, the restart goes on.
   * @throws DeviceLoadError when the module does not load now; Error when the device looks different to the guest
   * @throws HcsError ERROR_NOT_SUPPORTED where the host cannot remove the device
   * @throws RangeError when it was attached as an instance, which cannot be made again, or is not attached here
   */
  async restart(
    attachment: Attachment,
    { signal, keepState = false }: RestartOptions = {},
  ): Promise<RestartResult> {
    signal?.throwIfAborted();
    const device = this.#find(attachment);
    device.checkRestart();
    return abortable(
      device.inTurn(() => this.#restart(device, keepState)),
      signal,
    );
  }

  /** Tears the device host down. Safe to run twice. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#tearDown();
    return this.#disposal;
  }

  async #attach(
    device: AttachedDevice,
    { declared = false, signal }: Pick<AttachOptions, 'declared' | 'signal'>,
  ): Promise<void> {
    await device.create(this.#binding, this.#handle, this.#system.id);
    let adding: Promise<void> | undefined;
    try {
      signal?.throwIfAborted();
      if (!declared) {
        adding = device.askFor(() => this.#modify('Add', device));
        await abortable(adding, signal);
      }
      this.#checkOpen();
    } catch (error) {
      // The request goes on when the wait for it ends: the removal comes after it.
      const mayBeAdded = adding !== undefined && (signal?.aborted || this.#isTornDown);
      if (mayBeAdded) await this.#modify('Remove', device).catch(() => {});
      await device.release(this.#binding);
      throw error;
    }
    device.isInSystem = true;
    this.#attached.set(device, device);
    this.#keep();
  }

  async #detach(device: AttachedDevice): Promise<void> {
    await this.#remove(device);
    this.#attached.delete(device);
    await device.release(this.#binding);
    this.#keep();
  }

  async #restart(device: AttachedDevice, keepState: boolean): Promise<RestartResult> {
    // It may have been detached while another restart had its turn.
    this.#find(device);
    if (!device.restartsInPlace) await this.#remove(device);
    const result = await device.recreate(this.#binding, this.#handle, this.#system.id, keepState);
    if (device.isInSystem) return result;
    await device.askFor(() => this.#modify('Add', device));
    device.isInSystem = true;
    return result;
  }

  /** A device that failed is restarted after a pause, or given up. */
  #restartLater(device: AttachedDevice, cause = device.failure): void {
    const pause = device.schedule?.next(performance.now());
    if (pause === undefined) {
      const error = new Error(
        `${device.name} is not restarted again: it was restarted ${device.schedule?.count} times within a minute`,
        { cause },
      );
      this.#report({ type: 'givenUp', attachment: device, error });
      return;
    }
    // Nothing else may keep the process, and the device alone shall not.
    setTimeout(() => void this.#restartFailed(device), pause).unref();
  }

  async #restartFailed(device: AttachedDevice): Promise<void> {
    try {
      const restarted = await device.inTurn(async () => {
        // Somebody has detached or restarted it meanwhile.
        if (!this.#attached.has(device) || device.failure === undefined) return false;
        await this.#restart(device, false);
        return true;
      });
      const count = device.schedule?.count ?? 0;
      if (restarted) this.#report({ type: 'restarted', attachment: device, count });
    } catch (error) {
      if (!this.#attached.has(device)) return;
      this.#restartLater(device, error instanceof Error ? error : new Error(String(error)));
    }
  }

  async #remove(device: AttachedDevice): Promise<void> {
    if (!device.isInSystem) return;
    await this.#modify('Remove', device);
    device.isInSystem = false;
  }

  async #tearDown(): Promise<void> {
    this.#isTornDown = true;
    const devices = [...this.#attached.values()];
    this.#attached.clear();
    this.#owned.release();
    this.#keep();
    // First: where the platform calls Stop and Teardown, devices on workers are there to answer.
    const tornDown = this.#binding.vmDeviceHost.HdvTeardownDeviceHost(this.#handle);
    const ends = await Promise.allSettled([tornDown]);
    ends.push(...(await Promise.allSettled(devices.map((device) => device.stop()))));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** A guest may depend on devices that the program has no reference to any more. */
  #keep(): void {
    const hosts = inUse.get(this.#system) ?? new Set();
    inUse.set(this.#system, hosts);
    if (this.#attached.size > 0) hosts.add(this);
    else hosts.delete(this);
  }

  #checkOpen(): void {
    if (this.#isTornDown) throw new Error('Cannot attach a device: the device host is torn down');
  }

  #find(attachment: Attachment): AttachedDevice {
    const device = this.#attached.get(attachment);
    if (device === undefined) {
      throw new RangeError(`Cannot find device ${attachment.instanceId}: it is not attached here`);
    }
    return device;
  }

  get #defaultClass(): GUID {
    return this.#hostingModel === 'External' ? DEVICE_CLASS_ID : RESTRICTED_DEVICE_CLASS_ID;
  }

  #placementFor(source: PciDevice | URL, wanted: Placement | undefined): Placement {
    const { placements } = this.capabilities;
    const placement = wanted ?? (source instanceof URL ? placements[0] : 'inline');
    if (placement === undefined || !placements.includes(placement)) {
      throw new RangeError(
        `Cannot place a device ${placement} on the host ${this.#binding.hostName}: it places devices ${placements.join(' or ')}`,
      );
    }
    if (placement === 'worker' && !(source instanceof URL)) {
      throw new RangeError(
        'Cannot move a device to a worker: an instance stays on its thread; attach the URL of its module',
      );
    }
    return placement;
  }

  #groupFor(group: string | undefined): string | undefined {
    if (group !== undefined && this.#binding.placement?.sharesWorkers !== true) {
      throw new RangeError(
        `Cannot attach a device to group ${group}: on the host ${this.#binding.hostName} each device has its own worker`,
      );
    }
    return group;
  }

  async #modify(requestType: 'Add' | 'Remove', device: AttachedDevice): Promise<void> {
    await this.#system.modify({
      ResourcePath: `VirtualMachine/Devices/FlexibleIov/${device.instanceId}`,
      RequestType: requestType,
      Settings: {
        EmulatorId: device.classId,
        HostingModel: this.#hostingModel,
        Configuration: [...device.configuration],
      },
    });
  }
}

/** A GUID as documents write it. */
function withoutBraces(id: GUID): GUID {
  return id.replace(/^\{(.*)\}$/, '$1');
}

/** The default for reports: warnings of the process. */
function warn(notice: DeviceNotice): void {
  const { name } = notice.attachment;
  switch (notice.type) {
    case 'failed':
    case 'givenUp':
      process.emitWarning(notice.error);
      break;
    case 'restarted':
      process.emitWarning(`${name} was restarted (${notice.count})`, 'DeviceRestarted');
      break;
    default:
      process.emitWarning(`${name}: ${notice.text}`, 'GuestError');
  }
}
