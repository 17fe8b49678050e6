// Longer than most: the life of one machine, whose parts share one state.
import type {
  EngineDevice,
  EngineExit,
  EngineRequest,
  EngineSystem,
  ResourceChange,
  SaveTarget,
  ShutdownRequest,
} from '../../compute/engine.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import type { ShutdownType } from '../../hcs/schema/documents.ts';
import { isAlive } from '../../provision/process-identity.ts';
import { crashReport } from './crash-report.ts';
import { placeCrashStore } from './crash-store.ts';
import { DeviceSlots, type DeviceSlotsOptions } from './device-slots.ts';
import { eachStep } from './each-step.ts';
import { type EngineRecord, RECORD_VERSION } from './engine-record.ts';
import { MachineSockets } from './guest/sockets.ts';
import { LastSave } from './last-save.ts';
import type { LiveMachine } from './live-machine.ts';
import { type Cause, exitOf } from './machine-exit.ts';
import { restoreFrom } from './migration.ts';
import type { ProcessExit } from './process-end.ts';
import { machineProperties } from './properties.ts';
import type { QemuProcess } from './qemu-process.ts';
import type { QmpEvent } from './qmp.ts';
import { resetMachine } from './reset.ts';
import { memoryAddresses } from './resources/memory.ts';
import { changeResource } from './resources/resource-table.ts';
import { requireNoVirtiofs } from './resources/virtiofs.ts';
import type { RestoreSource, Template } from './restore.ts';
import { adoptTemplate, saveAsTemplate } from './save.ts';
import type { SavedMachine } from './saved-state.ts';
import { releaseAccount } from './vm-account.ts';
import type { WatchedFolder } from './watched-folder.ts';

/** What a {@link QemuSystem} is made of. */
export interface QemuSystemParts {
  readonly request: EngineRequest;
  readonly machine: LiveMachine;
  readonly qemu: QemuProcess;
  readonly folder: WatchedFolder;
  /** File of the guest's error records. */
  readonly crashLog: string;
  readonly slots: DeviceSlotsOptions;
  /** Milliseconds that a start waits for the agent of the guest; 240,000. */
  readonly guestConnectionLimit: number | undefined;
  /** What the machine goes on from, when it starts. */
  readonly source: RestoreSource | undefined;
  /** What is kept with the state when the machine is saved. */
  readonly make: Omit<SavedMachine, 'machineType' | 'plan' | 'ports' | 'memoryAddresses'>;
  /** Called when the machine has become a template, and when that has ended. */
  saved(template: Template | undefined): void;
  /** When the machine was made, in milliseconds since 1970; now, where nothing is said. */
  readonly createdAt?: number | undefined;
}

/** QKeyCodes of Ctrl, Alt and Delete. */
const RESTART_KEYS = ['ctrl', 'alt', 'delete'].map((data) => ({ type: 'qcode', data }));

/** How long a guest that panicked may take to write its messages and reset. */
const PANIC_LIMIT_MS = 5_000;

/** One machine in a QEMU process. */
export class QemuSystem implements EngineSystem {
  readonly shutdownTypes = ['Shutdown', 'Reboot'] as const;
  readonly #parts: QemuSystemParts;
  readonly #slots: DeviceSlots;
  readonly #sockets: MachineSockets;
  readonly #createdAt: number;
  readonly #lastSave = new LastSave();
  readonly #gone: Promise<void>;
  #cause: Cause;
  #isPaused = false;
  /** What went wrong when the guest had ended. */
  #endProblem: Pick<EngineExit, 'detail'> = {};
  #template: Template | undefined;
  #isReleased = false;
  #crash: { isReported: boolean } | undefined;

  constructor(parts: QemuSystemParts) {
    this.#parts = parts;
    this.#createdAt = parts.createdAt ?? Date.now();
    this.#slots = new DeviceSlots(parts.qemu.qmp, parts.machine.ports, {
      ...parts.slots,
      changed: () => parts.request.recordChanged?.(),
    });
    this.#lastSave.onChange = () => parts.request.recordChanged?.();
    parts.qemu.qmp.listen((event) => this.#notice(event));
    parts.machine.sides.onFailure = (failure) => this.#fail(failure);
    parts.machine.sides.onStart = () => parts.request.recordChanged?.();
    this.#sockets = new MachineSockets(parts.machine, {
      connectionClosed: () =>
        parts.request.notify({ type: 'guestConnectionClosed', document: '{}' }),
      failed: (failure) => this.#fail(failure),
    });
    this.#gone = parts.qemu.ended.then((exit) => this.#end(exit));
  }

  /** Knows again what another process knew of the machine. Called first. */
  async adopt(record: EngineRecord, isPaused: boolean, isTemplate: boolean): Promise<void> {
    const { devices, template, cause, lastSave } = record;
    const { machine, qemu, folder } = this.#parts;
    this.#slots.adopt(devices);
    // A start that was on its way has plugged them.
    if (!machine.hasStarted && this.#slots.instanceIds.length > 0) machine.needsReset = true;
    this.#isPaused = isPaused;
    this.#cause = cause;
    if (isTemplate && template !== undefined) {
      adoptTemplate(qemu, template);
      this.#template = template;
      this.#parts.saved(template);
    }
    await this.#lastSave.adopt(lastSave, qemu, folder, () => this.#make());
    if (machine.hasStarted && !isPaused) await this.#sockets.begin();
  }

  /** Instance ids of the FlexibleIov devices that are in the machine. */
  get devices(): readonly string[] {
    return this.#slots.instanceIds;
  }

  /** Takes events as if they came now. */
  replay(events: readonly QmpEvent[]): void {
    for (const event of events) this.#notice(event);
  }

  record(): EngineRecord | undefined {
    const { qemu, folder, machine, make, source } = this.#parts;
    if (!folder.outlives) return undefined;
    const { record: lastSave } = this.#lastSave;
    return {
      version: RECORD_VERSION,
      process: qemu.identity,
      folder: folder.path,
      account: qemu.files.account,
      make,
      plan: machine.plan,
      ports: machine.ports.taken,
      isClone: machine.isClone,
      ownSockets: [...machine.ownSockets],
      devices: this.#slots.records,
      sides: machine.sides.records,
      createdAt: this.#createdAt,
      hasStarted: machine.hasStarted,
      needsReset: machine.needsReset,
      source,
      template: this.#template,
      ...(lastSave === undefined ? {} : { lastSave }),
      ...(this.#cause === undefined ? {} : { cause: this.#cause }),
    };
  }

  release(): void {
    this.#isReleased = true;
    this.#sockets.close();
    void this.#lastSave.release();
    this.#parts.qemu.release();
  }

  async start(devices: readonly EngineDevice[]): Promise<void> {
    const { source, qemu, machine } = this.#parts;
    const { qmp } = qemu;
    if (source !== undefined && machine.waitsForState) {
      await restoreFrom(qmp, source.uri, source.ram !== undefined);
      const { crashStore } = source.machine;
      if (crashStore !== undefined) await placeCrashStore(qmp, crashStore);
      machine.waitsForState = false;
    }
    for (const device of devices) await this.#slots.plug(device);
    await this.#sockets.begin();
    if ((devices.length > 0 || machine.needsReset) && source === undefined) {
      // Makes a cold boot of it: slots are powered as if the devices had always been there.
      await resetMachine(qmp, machine.plan, this.#gone);
    }
    await qmp.execute('cont');
    machine.hasStarted = true;
    await this.#sockets.connected(this.#parts.guestConnectionLimit);
  }

  async pause(): Promise<void> {
    await this.#parts.qemu.qmp.execute('stop');
    this.#isPaused = true;
  }

  async resume(): Promise<void> {
    await this.#lastSave.forget();
    await this.#sockets.goOn();
    await this.#parts.qemu.qmp.execute('cont');
    this.#isPaused = false;
  }

  /**
   * By the agent where it is connected, else by the power button, or the keys that have restarted machines since 1981,
   * which Linux and Windows both hear.
   */
  async shutDown({ type, mechanism }: ShutdownRequest): Promise<void> {
    const { qmp } = this.#parts.qemu;
    const isByAgent = type === 'Shutdown' && mechanism !== 'IntegrationService';
    if (isByAgent && (await this.#sockets.shutDown())) return;
    if (mechanism === 'GuestConnection') throw notByAgent(type);
    if (type === 'Shutdown') await qmp.execute('system_powerdown');
    else await qmp.execute('send-key', { keys: RESTART_KEYS });
  }

  async terminate(): Promise<void> {
    this.#cause ??= 'host';
    await this.#parts.qemu.quit();
    await this.#gone;
  }

  async addDevice(device: EngineDevice): Promise<void> {
    await this.#slots.plug(device);
  }

  async removeDevice(instanceId: string): Promise<void> {
    if (this.#isPaused) {
      throw new HcsError({
        function: 'HcsModifyComputeSystem',
        hresult: HRESULT.HCS_E_INVALID_STATE,
        message: `Cannot remove device ${instanceId} as the machine is paused: its guest has to let go of the device; resume it first`,
      });
    }
    await this.#slots.unplug(instanceId);
  }

  async modify(change: ResourceChange): Promise<void> {
    const { machine, source } = this.#parts;
    if (source !== undefined && !machine.hasStarted) {
      throw new HcsError({
        function: 'HcsModifyComputeSystem',
        hresult: HRESULT.HCS_E_INVALID_STATE,
        message: `Cannot change ${change.path} as the machine waits for the state that it goes on from: start it first`,
      });
    }
    await changeResource(machine, change);
  }

  async settle(change: ResourceChange): Promise<void> {
    const { machine } = this.#parts;
    machine.isSettling = true;
    try {
      await changeResource(machine, change);
    } finally {
      machine.isSettling = false;
    }
  }

  async crash(): Promise<void> {
    await this.#parts.qemu.qmp.execute('inject-nmi');
  }

  async save(target: SaveTarget, signal?: AbortSignal): Promise<void> {
    const devices = this.#slots.instanceIds;
    if (devices.length > 0) {
      throw new HcsError({
        function: 'HcsSaveComputeSystem',
        hresult: HRESULT.ERROR_NOT_SUPPORTED,
        message: `Cannot save the machine as it has the device ${devices.join(', ')}: QEMU does not save the state of a device outside it; remove it first`,
      });
    }
    if (target.kind === 'template') requireNoVirtiofs(this.#parts.machine);
    await this.#sockets.letGo();
    if (target.kind === 'file') {
      await this.#save(target.path, signal);
    } else {
      await this.#saveAsTemplate(signal);
    }
  }

  async #saveAsTemplate(signal?: AbortSignal): Promise<void> {
    const { qemu, folder, saved, request } = this.#parts;
    const { record } = this.#lastSave;
    if (record !== undefined) {
      throw new HcsError({
        function: 'HcsSaveComputeSystem',
        hresult: HRESULT.HCS_E_INVALID_STATE,
        message: `Cannot save the machine as a template as it was saved to ${record.path} since it was paused, and QEMU writes its state once: resume it, pause it, and save it then`,
      });
    }
    const note = (template: Template | undefined): void => {
      this.#template = template;
      request.recordChanged?.();
    };
    try {
      const file = folder.file('template');
      saved(await saveAsTemplate(qemu, await this.#make(), file, note, signal));
    } catch (error) {
      note(undefined);
      throw error;
    }
  }

  properties(
    types: readonly string[],
    queries: Readonly<Record<string, unknown>> = {},
  ): Promise<Readonly<Record<string, unknown>>> {
    return machineProperties(this.#parts.machine, this.#createdAt, types, queries);
  }

  async #save(path: string, signal?: AbortSignal): Promise<void> {
    const { qemu, folder } = this.#parts;
    await this.#lastSave.toFile(qemu, folder, await this.#make(), path, signal);
  }

  /** The first is why it ends; whoever takes the machine over has to know it when QEMU has ended by then. */
  #knowCause(cause: Exclude<Cause, undefined>): void {
    if (this.#cause !== undefined) return;
    this.#cause = cause;
    if (!this.#isReleased) this.#parts.request.recordChanged?.();
  }

  /** A program beside QEMU is gone. */
  #fail(failure: string): void {
    // QEMU that has ended took it along; otherwise the guest would wait for the device for ever.
    if (this.#isReleased || !isAlive(this.#parts.qemu.identity)) return;
    this.#knowCause({ failure });
    void this.#parts.qemu.quit();
  }

  async #make(): Promise<Omit<SavedMachine, 'machineType'>> {
    const { make, machine } = this.#parts;
    return {
      ...make,
      plan: machine.plan,
      ports: machine.ports.taken,
      memoryAddresses: await memoryAddresses(machine.qmp),
    };
  }

  #notice({ event, data }: QmpEvent): void {
    this.#sockets.notice({ event, data }, this.#isPaused);
    if (event === 'GUEST_PANICKED') {
      this.#panicked();
    } else if (event === 'SHUTDOWN') {
      this.#knowCause(data.guest === true ? 'guest' : 'host');
      if (this.#crash !== undefined) void this.#endCrash(this.#crash);
      else if (data.guest === true) void this.#guestEnded(data.reason === 'guest-reset');
      else void this.#parts.qemu.quit();
    }
  }

  /** The machine is stopped as its guest left it. A reset of which the state is kept goes on with the next boot. */
  async #guestEnded(isReset: boolean): Promise<void> {
    const { qemu, machine } = this.#parts;
    const { endState } = machine.plan.crashFiles;
    try {
      if (endState !== undefined) await this.#save(endState);
      if (isReset && !machine.plan.stopOnReset) {
        this.#cause = undefined;
        this.#parts.request.recordChanged?.();
        await this.#lastSave.forget();
        await resetMachine(qemu.qmp, machine.plan, this.#gone);
        await qemu.qmp.execute('cont');
        return;
      }
    } catch (error) {
      const detail = `the state at the guest's end was not saved to ${endState}: ${(error as Error).message}`;
      this.#endProblem = { detail };
    }
    void qemu.quit();
  }

  /** The guest says so first, then writes its messages into the error record store, then resets or stands still. */
  #panicked(): void {
    const { qemu, request } = this.#parts;
    if (this.#crash !== undefined) return;
    this.#knowCause('panic');
    request.notify({ type: 'crashBegun', document: JSON.stringify({ SystemId: request.id }) });
    const crash = { isReported: false };
    this.#crash = crash;
    const timer = setTimeout(() => void this.#endCrash(crash), PANIC_LIMIT_MS);
    void qemu.ended.then(() => clearTimeout(timer));
    // It must not boot again: what is in its memory is evidence.
    qemu.qmp.execute('set-action', { reboot: 'shutdown' }).catch(() => undefined);
  }

  async #endCrash(crash: { isReported: boolean }): Promise<void> {
    const { crashLog, folder, machine, qemu, request } = this.#parts;
    if (crash.isReported) return;
    crash.isReported = true;
    const report = await crashReport({
      id: request.id,
      crashLog,
      files: machine.plan.crashFiles,
      qemu,
      folder,
      save: (path) => this.#save(path),
    });
    request.notify({ type: 'crashed', document: JSON.stringify(report) });
    void qemu.quit();
  }

  async #end(exit: ProcessExit): Promise<void> {
    if (this.#isReleased) return;
    const { request, folder, machine, qemu, saved } = this.#parts;
    const [problem] = await eachStep([
      () => this.#sockets.close(),
      () => saved(undefined),
      () => this.#lastSave.forget(),
      () => qemu.qmp.close(),
      () => this.#slots.powerOffAll(),
      () => machine.ended(),
      () => machine.sides.endAll(),
      () => folder.remove(),
      () => releaseAccount(qemu.files.account),
    ]);
    if (problem !== undefined && this.#endProblem.detail === undefined) {
      this.#endProblem = { detail: `not all of the machine was removed: ${problem.message}` };
    }
    request.exited(exitOf(this.#cause, exit, this.#endProblem));
  }
}

/** An agent cannot be asked for it. */
function notByAgent(type: ShutdownType): HcsError {
  return new HcsError({
    function: 'HcsShutDownComputeSystem',
    hresult: type === 'Shutdown' ? HRESULT.HCS_E_CONNECTION_CLOSED : HRESULT.ERROR_NOT_SUPPORTED,
    message:
      type === 'Shutdown'
        ? 'no agent of the guest is connected: leave Mechanism out, and the power button is pressed'
        : `the protocol of agents has no ${type}: leave Mechanism out, and the guest is asked by its keyboard`,
  });
}
