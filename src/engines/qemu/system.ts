import { readFileSync } from 'node:fs';
import type {
  EngineDevice,
  EngineExit,
  EngineRequest,
  EngineSystem,
  ResourceChange,
  SaveTarget,
} from '../../compute/engine.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT, signedHresult } from '../../hcs/hresult.ts';
import type { CrashReport } from '../../hcs/schema/documents.ts';
import { dumpMemory } from './crash-files.ts';
import { readCrashLog } from './crash-log.ts';
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

/** How long a guest that panicked may take to write its messages and reset. */
const PANIC_LIMIT_MS = 5_000;

/** One machine in a QEMU process. */
export class QemuSystem implements EngineSystem {
  readonly #parts: QemuSystemParts;
  readonly #slots: DeviceSlots;
  readonly #createdAt = Date.now();
  readonly #lastSave = new LastSave();
  readonly #gone: Promise<void>;
  #cause: Cause;
  #isPaused = false;
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

  async shutDown(): Promise<void> {
    await this.#parts.qemu.qmp.execute('system_powerdown');
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
      await this.#lastSave.toFile(qemu, await this.#make(), target.path, signal);
    } else {
      requireNoVirtiofs(this.#parts.machine);
      saved(await saveAsTemplate(qemu, await this.#make(), folder.file('template'), signal));
    }
  }

  properties(types: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
    return machineProperties(this.#parts.machine, this.#createdAt, types);
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
      if (this.#crash === undefined) void this.#parts.qemu.quit();
      else void this.#endCrash(this.#crash);
    }
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
    const { qemu, request } = this.#parts;
    if (crash.isReported) return;
    crash.isReported = true;
    request.notify({ type: 'crashed', document: JSON.stringify(await this.#crashReport()) });
    void qemu.quit();
  }

  async #crashReport(): Promise<CrashReport> {
    const { crashLog, request, qemu, machine } = this.#parts;
    const log = readCrashLog(readFileSync(crashLog));
    const { savedState, dump, dumpLimit } = machine.plan.crashFiles;
    const problems: string[] = [];
    const attempt = async (what: string, write: () => Promise<void>): Promise<boolean> => {
      try {
        await write();
        return true;
      } catch (error) {
        problems.push(`The ${what} was not written: ${(error as Error).message}`);
        return false;
      }
    };
    if (savedState !== undefined || dump !== undefined) {
      // A guest that hangs after its panic is not to change what is written.
      await qemu.qmp.execute('stop').catch(() => undefined);
    }
    const isSaved =
      savedState !== undefined &&
      (await attempt('saved state', async () =>
        this.#lastSave.toFile(qemu, await this.#make(), savedState),
      ));
    const isDumped =
      dump !== undefined && (await attempt('dump', () => dumpMemory(qemu.qmp, dump, dumpLimit)));
    return {
      SystemId: request.id,
      CrashLog: [
        log ??
          'The guest panicked and left no messages: its console has them, or boot it with pstore.backend=erst',
        ...problems,
      ].join('\n'),
      CrashStackUnavailable: log === undefined,
      ...(isDumped ? { WindowsCrashInfo: { DumpFile: dump } } : {}),
      ...(savedState === undefined
        ? {}
        : {
            GuestCrashSaveInfo: {
              SaveStateFile: savedState,
              Status: signedHresult(isSaved ? HRESULT.S_OK : HRESULT.E_FAIL),
            },
          }),
    };
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
        return { exitType: 'GracefulExit', status: HRESULT.S_OK };
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
