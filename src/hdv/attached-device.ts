import { fileURLToPath } from 'node:url';
import type { PciDevice } from '../device/pci-device.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import type { FunctionShape } from '../pci/device-callbacks.ts';
import { PciFunction } from '../pci/pci-function.ts';
import type { Attachment, DeviceNotice } from './attachment.ts';
import type { PlacedDevice, PlacementNotice, RestartResult } from './device-placement.ts';
import type { HdvBinding } from './hdv-binding.ts';
import { HDV_DEVICE_TYPE } from './hdv-constants.ts';
import { HdvError } from './hdv-error.ts';
import { hdvServices } from './hdv-services.ts';
import type { Placement } from './host-capabilities.ts';
import { loadDevice } from './load-device.ts';
import { type RestartPolicy, RestartSchedule } from './restart-schedule.ts';
import type { GUID, HDV_DEVICE, HDV_HOST } from './vm-device-host.ts';

/** What a device is attached with. */
export interface AttachPlan {
  readonly source: PciDevice | URL;
  readonly exportName: string | undefined;
  readonly instanceId: GUID;
  readonly classId: GUID;
  readonly configuration: readonly string[];
  readonly placement: Placement;
  readonly trace: SharedArrayBuffer | undefined;
  readonly group: string | undefined;
  readonly restart: RestartPolicy;
}

/** One attached device, wherever it runs. */
export class AttachedDevice implements Attachment {
  readonly instanceId: GUID;
  readonly classId: GUID;
  readonly configuration: readonly string[];
  readonly placement: Placement;
  name: string;
  failure: Error | undefined;
  guestErrors = 0;
  /** Whether the system has it, by its document or a modify request. */
  isInSystem = false;
  function: PciFunction | undefined;
  /** When it is restarted by itself; undefined when it never is. */
  readonly schedule: RestartSchedule | undefined;
  /** Called when it has failed, after that was reported. */
  onFailed: (() => void) | undefined;
  readonly #report: (notice: DeviceNotice) => void;
  readonly #plan: AttachPlan;
  #shape: FunctionShape | undefined;
  #placed: PlacedDevice | undefined;
  #device: HDV_DEVICE | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  /** Somebody waits for an answer of the system, and will be told what the device threw. */
  #isAskedFor = false;

  constructor(report: (notice: DeviceNotice) => void, plan: AttachPlan) {
    this.#report = report;
    this.#plan = plan;
    this.instanceId = plan.instanceId;
    this.classId = plan.classId;
    this.configuration = plan.configuration;
    this.placement = plan.placement;
    this.schedule = plan.restart === 'on-failure' ? new RestartSchedule() : undefined;
    const { source, exportName } = plan;
    this.name = source instanceof URL ? (exportName ?? source.href) : source.constructor.name;
  }

  get shape(): FunctionShape {
    return this.#shape as FunctionShape;
  }

  /** Creates the instance on this thread or on a worker. Leaves nothing behind when it throws. */
  async create(binding: HdvBinding, host: HDV_HOST, systemId: string): Promise<void> {
    if (this.placement !== 'worker') {
      await this.#createHere(binding, host);
      return;
    }
    await this.#createOnWorker(binding, host, systemId);
    try {
      this.#checkInterrupts(binding);
    } catch (error) {
      await this.release(binding);
      throw error;
    }
  }

  checkRestart(): void {
    if (this.#plan.source instanceof URL) return;
    throw new RangeError(
      `Cannot restart ${this.name}: it was attached as an instance, which cannot be made again; attach the URL of its module`,
    );
  }

  /** Can a fresh device take the place of this one while it is in a machine? */
  get restartsInPlace(): boolean {
    return this.#placed?.restartsInPlace === true;
  }

  /** Asks the system for this device. What the device itself threw, the system may not know. @throws HcsError */
  async askFor(request: () => Promise<void>): Promise<void> {
    this.#isAskedFor = true;
    try {
      await request();
    } catch (error) {
      throw explain(error, this.name, await this.#placed?.takeRefusal?.());
    } finally {
      this.#isAskedFor = false;
    }
  }

  /** Runs what changes the device's life after what has begun before. */
  inTurn<T>(run: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(run);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** A fresh device in the place of this one, which is in no machine, or {@link restartsInPlace}. */
  async recreate(
    binding: HdvBinding,
    host: HDV_HOST,
    systemId: string,
    keepState: boolean,
  ): Promise<RestartResult> {
    const { failure } = this;
    // The fresh device may fail as soon as it starts.
    this.failure = undefined;
    try {
      if (this.#placed !== undefined) {
        const result = await this.#placed.restart({ keepState });
        this.#learn(this.#placed);
        return result;
      }
      await this.release(binding);
      await this.create(binding, host, systemId);
      const reason = 'a device that does not run on a worker is removed and added again';
      return { kept: false, ...(keepState ? { reason } : {}) };
    } catch (error) {
      this.failure ??= failure;
      throw error;
    }
  }

  /** Ends what runs on a worker; the device host's teardown ends the rest. */
  async stop(): Promise<void> {
    await this.#placed?.stop();
    this.#placed = undefined;
  }

  /** Ends the device and withdraws its instance, where the host can. */
  async release(binding: HdvBinding): Promise<void> {
    await this.stop();
    const device = this.#device;
    this.#device = undefined;
    if (device !== undefined) await binding.platform.release?.(device);
  }

  async #createHere(binding: HdvBinding, host: HDV_HOST): Promise<void> {
    const { source, exportName, classId, instanceId } = this.#plan;
    const device = source instanceof URL ? await loadDevice(source, exportName) : source;
    this.name = device.constructor.name;
    const fn = new PciFunction(device);
    this.#shape = fn.shape;
    this.#checkInterrupts(binding);
    this.#device = await binding.vmDeviceHost.HdvCreateDeviceInstance(
      host,
      HDV_DEVICE_TYPE.HdvDeviceTypePCI,
      classId,
      instanceId,
      fn,
      null,
    );
    fn.connect(hdvServices(binding, this.#device, (notice) => this.#notify(notice)));
    this.function = fn;
  }

  async #createOnWorker(binding: HdvBinding, host: HDV_HOST, systemId: string): Promise<void> {
    const { source, exportName, classId, instanceId, trace, group } = this.#plan;
    const { placement } = binding;
    if (placement === undefined) {
      throw new Error(`Cannot place a device on a worker: the host ${binding.hostName} has none`);
    }
    const module = source as URL;
    if (exportName === undefined && module.protocol === 'file:') this.name = fileURLToPath(module);
    this.#placed = await placement.place({
      host,
      systemId,
      classId,
      instanceId,
      source: { module, exportName },
      ...(trace === undefined ? {} : { trace }),
      ...(group === undefined ? {} : { group }),
      notify: (notice) => this.#notify(notice),
    });
    this.#learn(this.#placed);
  }

  /** What a module says can be another thing each time that it is loaded. */
  #learn({ name, shape }: PlacedDevice): void {
    this.name = name;
    this.#shape = shape;
  }

  #checkInterrupts(binding: HdvBinding): void {
    if (this.shape.interrupts.kind !== 'intx' || binding.capabilities.intx) return;
    throw new HdvError(
      'HdvCreateDeviceInstance',
      'ERROR_NOT_SUPPORTED',
      `${this.name} uses INTx, which the host ${binding.hostName} does not have: use msi() or msix()`,
    );
  }

  #notify(notice: PlacementNotice): void {
    if (notice.type === 'refused') {
      // Of a device that the document declares, whoever starts the machine hears a number only.
      const { callback, error } = notice;
      const told = new Error(`${callback} of ${this.name} failed: ${error.message}`, {
        cause: error,
      });
      if (!this.#isAskedFor) this.#report({ type: 'failed', attachment: this, error: told });
    } else if (notice.type === 'failed') {
      this.failure = notice.error;
      this.#report({ type: 'failed', attachment: this, error: notice.error });
      this.onFailed?.();
    } else {
      this.guestErrors = notice.count;
      this.#report({ ...notice, attachment: this });
    }
  }
}

/** The system's error, with what the device threw as its reason. */
function explain(error: unknown, name: string, refusal: Error | undefined): unknown {
  if (refusal === undefined || !(error instanceof HcsError)) return error;
  if (error.message.includes(refusal.message)) return error;
  return new HcsError({
    function: error.function,
    hresult: error.hresult,
    message: `${name}: ${refusal.message}`,
    document: error.document,
    cause: refusal,
  });
}
