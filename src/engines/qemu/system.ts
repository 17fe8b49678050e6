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
import { crashReport } from './crash-report.ts';
import { placeCrashStore } from './crash-store.ts';
import { DeviceSlots, type DeviceSlotsOptions } from './device-slots.ts';
import type { LiveMachine } from './live-machine.ts';
import { restoreFrom } from './migration.ts';
import { describeExit, type ProcessExit } from './process-end.ts';
import { machineProperties } from './properties.ts';
import type { QemuProcess } from './qemu-process.ts';
import type { QmpEvent } from './qmp.ts';
import { memoryAddresses } from './resources/memory.ts';
import { changeResource } from './resources/resource-table.ts';
import { requireNoVirtiofs } from './resources/virtiofs.ts';
import type { RestoreSource, Template } from './restore.ts';
import { LastSave, saveAsTemplate } from './save.ts';
import type { SavedMachine } from './saved-state.ts';
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
  /** What the machine goes on from, when it starts. */
  readonly source: RestoreSource | undefined;
  /** What is kept with the state when the machine is saved. */
  readonly make: Omit<SavedMachine, 'machineType' | 'plan' | 'ports' | 'memoryAddresses'>;
  /** Called when the machine has become a template, and when that has ended. */
  saved(template: Template | undefined): void;
}

/** Why the machine ended, as far as QEMU said before its process did. */
type Cause = 'guest' | 'host' | 'panic' | { readonly failure: string } | undefined;

/** QKeyCodes of Ctrl, Alt and Delete. */
const RESTART_KEYS = ['ctrl', 'alt', 'delete'].map((data) => ({ type: 'qcode', data }));

/** How long a guest that panicked may take to write its messages and reset. */
const PANIC_LIMIT_MS = 5_000;

/** One machine in a QEMU process. */
export class QemuSystem implements EngineSystem {
  readonly shutdownTypes = ['Shutdown', 'Reboot'] as const;
  readonly #parts: QemuSystemParts;
  readonly #slots: DeviceSlots;
  readonly #createdAt = Date.now();
  readonly #lastSave = new LastSave();
  readonly #gone: Promise<void>;
  #cause: Cause;
  #isPaused = false;
  /** What went wrong when the guest had ended. */
  #endProblem: Pick<EngineExit, 'detail'> = {};
  #crash: { isReported: boolean } | undefined;

  constructor(parts: QemuSystemParts) {
    this.#parts = parts;
    this.#slots = new DeviceSlots(parts.qemu.qmp, parts.machine.ports, parts.slots);
    parts.qemu.qmp.listen((event) => this.#notice(event));
    parts.machine.sides.onFailure = (failure) => {
      // The guest would wait for the device for ever.
      this.#cause ??= { failure };
      void parts.qemu.quit();
    };
    this.#gone = parts.qemu.ended.then((exit) => this.#end(exit));
  }

  async start(devices: readonly EngineDevice[]): Promise<void> {
    const { source, qemu, machine } = this.#parts;
    const { qmp } = qemu;
    if (source !== undefined) {
      await restoreFrom(qmp, source.uri, source.ram !== undefined);
      const { crashStore } = source.machine;
      if (crashStore !== undefined) await placeCrashStore(qmp, crashStore);
    }
    for (const device of devices) await this.#slots.plug(device);
    if ((devices.length > 0 || machine.needsReset) && source === undefined) {
      // Makes a cold boot of it: slots are powered as if the devices had always been there.
      await new Promise<void>((resolve, reject) => {
        const stop = qmp.listen(({ event }) => {
          if (event !== 'RESET') return;
          stop();
          resolve();
        });
        qmp.execute('system_reset').catch(reject);
        this.#gone.then(() => reject(new Error('QEMU has ended')), reject);
      });
    }
    await qmp.execute('cont');
    machine.hasStarted = true;
  }

  async pause(): Promise<void> {
    await this.#parts.qemu.qmp.execute('stop');
    this.#isPaused = true;
  }

  async resume(): Promise<void> {
    await this.#lastSave.forget();
    await this.#parts.qemu.qmp.execute('cont');
    this.#isPaused = false;
  }

  /** The power button, or the keys that have restarted machines since 1981, which Linux and Windows both hear. */
  async shutDown({ type }: ShutdownRequest): Promise<void> {
    const { qmp } = this.#parts.qemu;
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

  async crash(): Promise<void> {
    await this.#parts.qemu.qmp.execute('inject-nmi');
  }

  async save(target: SaveTarget, signal?: AbortSignal): Promise<void> {
    const { qemu, folder, saved } = this.#parts;
    const devices = this.#slots.instanceIds;
    if (devices.length > 0) {
      throw new HcsError({
        function: 'HcsSaveComputeSystem',
        hresult: HRESULT.ERROR_NOT_SUPPORTED,
        message: `Cannot save the machine as it has the device ${devices.join(', ')}: QEMU does not save the state of a device outside it; remove it first`,
      });
    }
    if (target.kind === 'file') {
      await this.#save(target.path, signal);
    } else {
      requireNoVirtiofs(this.#parts.machine);
      saved(await saveAsTemplate(qemu, await this.#make(), folder.file('template'), signal));
    }
  }

  properties(types: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
    return machineProperties(this.#parts.machine, this.#createdAt, types);
  }

  async #save(path: string, signal?: AbortSignal): Promise<void> {
    await this.#lastSave.toFile(this.#parts.qemu, await this.#make(), path, signal);
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
    if (event === 'GUEST_PANICKED') {
      this.#panicked();
    } else if (event === 'SHUTDOWN') {
      this.#cause ??= data.guest === true ? 'guest' : 'host';
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
        await this.#lastSave.forget();
        await qemu.qmp.execute('system_reset');
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
    this.#cause ??= 'panic';
    request.notify({ type: 'crashBegun', document: JSON.stringify({ SystemId: request.id }) });
    const crash = { isReported: false };
    this.#crash = crash;
    const timer = setTimeout(() => void this.#endCrash(crash), PANIC_LIMIT_MS);
    void qemu.ended.then(() => clearTimeout(timer));
    // It must not boot again: what is in its memory is evidence.
    qemu.qmp.execute('set-action', { reboot: 'shutdown' }).catch(() => undefined);
  }

  async #endCrash(crash: { isReported: boolean }): Promise<void> {
    const { crashLog, machine, qemu, request } = this.#parts;
    if (crash.isReported) return;
    crash.isReported = true;
    const report = await crashReport({
      id: request.id,
      crashLog,
      files: machine.plan.crashFiles,
      qmp: qemu.qmp,
      save: (path) => this.#save(path),
    });
    request.notify({ type: 'crashed', document: JSON.stringify(report) });
    void qemu.quit();
  }

  async #end(exit: ProcessExit): Promise<void> {
    const { request, folder, machine, qemu, saved } = this.#parts;
    saved(undefined);
    await this.#lastSave.forget();
    qemu.qmp.close();
    await this.#slots.powerOffAll();
    machine.ended();
    await machine.sides.endAll();
    await folder.remove();
    request.exited(this.#exitOf(exit));
  }

  #exitOf(exit: ProcessExit): EngineExit {
    const cause = this.#cause;
    // QEMU that crashed takes the programs beside it with it, not they QEMU.
    if (typeof cause === 'object' && exit.code === 0) {
      return {
        exitType: 'UnexpectedExit',
        status: HRESULT.HCS_E_UNEXPECTED_EXIT,
        detail: cause.failure,
      };
    }
    switch (cause) {
      case 'guest':
        return { exitType: 'GracefulExit', status: HRESULT.S_OK, ...this.#endProblem };
      case 'host':
        return { exitType: 'ForcedExit', status: HRESULT.S_OK };
      case 'panic':
        return {
          exitType: 'UnexpectedExit',
          status: HRESULT.HCS_E_GUEST_CRITICAL_ERROR,
          detail: 'the guest panicked',
        };
      default:
        return {
          exitType: 'UnexpectedExit',
          status: HRESULT.HCS_E_UNEXPECTED_EXIT,
          detail: `QEMU ended: ${describeExit(exit)}`,
        };
    }
  }
}
