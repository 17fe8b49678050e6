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
import { stopsOnReset } from './document.ts';
import { type FunctionConnection, isConnection } from './function-connection.ts';
import type { GuestRam } from './guest-ram.ts';
import type { SimulatedMachine } from './machine.ts';
import {
  captureState,
  type MachineState,
  type PluggedDevice,
  requireDevices,
  restoreDevice,
  type SavedDevice,
} from './machine-state.ts';
import { writeSavedFile } from './saved-file.ts';

/** A machine that was saved as a template, for its clones. */
export interface Template {
  /** The machine's own, which does not run again. */
  readonly ram: GuestRam;
  /** All but the RAM. */
  readonly state: Uint8Array;
}

/** What an engine wants to know of a {@link SimulatedSystem}. */
export interface SystemListener {
  /** The machine has become a template. */
  saved(template: Template): void;
  /** The machine has ended. */
  gone(): void;
  /** See `SimulatedEngineOptions`. */
  readonly connect: ConnectElsewhere | undefined;
}

/**
 * Makes a function of a device whose endpoint is none: it is in another process.
 * @param endpoint what its `powerOn` resolved to
 * @throws Error when that is nothing it can reach, or does not answer
 */
export type ConnectElsewhere = (
  endpoint: unknown,
  machine: SimulatedMachine,
  device: { readonly systemId: string; readonly instanceId: string },
) => Promise<FunctionConnection>;

/** One machine in this process. */
export class SimulatedSystem implements EngineSystem {
  readonly shutdownTypes = ['Shutdown', 'Reboot'] as const;
  readonly #request: EngineRequest;
  readonly #machine: SimulatedMachine;
  readonly #told: SystemListener;
  /** What the machine goes on from, when it starts. */
  readonly #state: MachineState | undefined;
  readonly #plugged = new Map<string, PluggedDevice>();
  /** A save that is under way, which cleans up when the machine ends. */
  #saving: Promise<void> | undefined;
  /** The end, from when it has begun. */
  #ending: Promise<void> | undefined;

  /** @param state what the machine goes on from, its RAM apart; undefined: it begins anew */
  constructor(
    request: EngineRequest,
    machine: SimulatedMachine,
    state: MachineState | undefined,
    told: SystemListener,
  ) {
    this.#request = request;
    this.#machine = machine;
    this.#state = state;
    this.#told = told;
    if (stopsOnReset(request.document)) machine.onReset = () => machine.powerOff();
    machine.onEnd = (end) => {
      if (end.kind === 'crash') {
        const report = { SystemId: request.id, CrashLog: end.report };
        request.notify({ type: 'crashed', document: JSON.stringify(report) });
      }
      void this.#end(
        end.kind === 'powerOff'
          ? { exitType: 'GracefulExit', status: HRESULT.S_OK }
          : {
              exitType: 'UnexpectedExit',
              status: HRESULT.HCS_E_UNEXPECTED_EXIT,
              detail: end.report,
            },
      );
    };
  }

  async start(devices: readonly EngineDevice[]): Promise<void> {
    const machine = this.#machine;
    const state = this.#state;
    const saved = state === undefined ? undefined : requireDevices(state.devices, devices);
    if (state !== undefined) {
      machine.clock.goOnFrom(state.time);
      machine.random.state = state.random;
    }
    for (const device of devices) {
      await this.#plug(device, saved?.get(device.instanceId.toLowerCase()));
    }
    for (const { connection } of this.#plugged.values()) await connection.start();
    if (state !== undefined) machine.interrupts.restore(state.interrupts);
  }

  async pause(): Promise<void> {
    this.#machine.pause();
    for (const { connection } of this.#plugged.values()) await connection.stop();
  }

  async resume(): Promise<void> {
    for (const { connection } of this.#plugged.values()) await startAgain(connection);
    this.#machine.resume();
  }

  async shutDown({ type }: ShutdownRequest): Promise<void> {
    const isReboot = type === 'Reboot';
    const isHeard = isReboot ? this.#machine.requestReboot() : this.#machine.requestShutDown();
    if (isHeard) return;
    throw new HcsError({
      function: 'HcsShutDownComputeSystem',
      hresult: HRESULT.ERROR_NOT_SUPPORTED,
      message: `no guest program listens for such requests: set ${isReboot ? 'onReboot' : 'onShutDown'} on the machine`,
    });
  }

  async terminate(): Promise<void> {
    await this.#end({ exitType: 'ForcedExit', status: HRESULT.S_OK });
  }

  async addDevice(device: EngineDevice): Promise<void> {
    await this.#plug(device);
    if (this.#machine.isPaused) return;
    try {
      await this.#plugged.get(device.instanceId)?.connection.start();
    } catch (error) {
      await this.removeDevice(device.instanceId);
      throw error;
    }
  }

  async removeDevice(instanceId: string): Promise<void> {
    const plugged = this.#plugged.get(instanceId);
    if (plugged === undefined) {
      throw new HcsError({
        function: 'HcsModifyComputeSystem',
        hresult: HRESULT.ERROR_NOT_FOUND,
        message: `Cannot remove device ${instanceId}: the machine has no such device`,
      });
    }
    this.#plugged.delete(instanceId);
    await this.#unplug(plugged);
  }

  async modify({ path }: ResourceChange): Promise<void> {
    // Virtual processors are threads of this process: they run where it does, whatever the group.
    if (path === 'VirtualMachine/ComputeTopology/Processor/CpuGroup') return;
    throw new HcsError({
      function: 'HcsModifyComputeSystem',
      hresult: HRESULT.ERROR_NOT_SUPPORTED,
      message: `$.ResourcePath is ${path}, which cannot be changed on this host: its machines are processors, memory and FlexibleIov devices; use the host linux`,
    });
  }

  async crash(): Promise<void> {
    this.#machine.injectNonMaskableInterrupt();
  }

  async save(target: SaveTarget, signal?: AbortSignal): Promise<void> {
    const saving = this.#save(target, AbortSignal.any([this.#machine.ended, signal ?? []].flat()));
    this.#saving = saving.catch(() => {});
    try {
      await saving;
    } finally {
      this.#saving = undefined;
    }
  }

  async properties(types: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
    if (!types.includes('Memory')) return {};
    const pages = this.#machine.ram.size / 4096;
    return {
      Memory: {
        VirtualNodeCount: 1,
        VirtualMachineMemory: { AvailableMemory: pages, AssignedMemory: pages },
      },
    };
  }

  async #save(target: SaveTarget, signal: AbortSignal): Promise<void> {
    const { ram } = this.#machine;
    const state = await captureState(this.#machine, [...this.#plugged.values()]);
    signal.throwIfAborted();
    const { owned } = this.#request;
    if (target.kind === 'file') await writeSavedFile(target.path, ram, state, signal, owned);
    else this.#told.saved({ ram, state });
  }

  /** @param saved what the device goes on from; undefined: it begins anew */
  async #plug(device: EngineDevice, saved?: SavedDevice): Promise<void> {
    const offered = await device.endpoint.powerOn(device.configuration);
    let endpoint: FunctionConnection | undefined;
    try {
      endpoint = await this.#connect(device, offered);
      if (this.#ending !== undefined)
        throw new Error('Cannot plug a device: the machine has ended');
      if (saved !== undefined) await restoreDevice(device.instanceId, endpoint, saved);
      const { function: fn, line, direct } = endpoint;
      const slot = this.#machine.plug(fn, line, saved?.slot, direct);
      this.#plugged.set(device.instanceId, { device, connection: endpoint, slot });
      endpoint.onDisconnect = () => this.#machine.unplug(slot);
    } catch (error) {
      await endpoint?.disconnect?.();
      await device.endpoint.powerOff();
      throw error;
    }
  }

  /** What another process offers is never taken for a function, whatever it says. */
  async #connect({ instanceId }: EngineDevice, offered: unknown): Promise<FunctionConnection> {
    const { connect } = this.#told;
    if (connect !== undefined) {
      return await connect(offered, this.#machine, { systemId: this.#request.id, instanceId });
    }
    if (isConnection(offered)) return offered;
    throw new TypeError(
      `Cannot plug device ${instanceId}: its device host offers no function in this process`,
    );
  }

  async #unplug({ device, connection, slot }: PluggedDevice): Promise<void> {
    this.#machine.unplug(slot);
    const stopped = connection.stop();
    if (stopped instanceof Promise) await stopped;
    if (connection.disconnect !== undefined) await connection.disconnect();
    await device.endpoint.powerOff();
  }

  #end(exit: EngineExit): Promise<void> {
    this.#ending ??= this.#letGo(exit);
    return this.#ending;
  }

  async #letGo(exit: EngineExit): Promise<void> {
    const plugged = [...this.#plugged.values()];
    this.#plugged.clear();
    this.#machine.end();
    // The system ends whatever its devices do.
    for (const entry of plugged) await this.#unplug(entry).catch(() => {});
    if (this.#saving !== undefined) await this.#saving;
    this.#machine.ram.revokeAll();
    this.#told.gone();
    this.#request.exited(exit);
  }
}

/** A device that does not start again answers as if unplugged; the guest and the other devices go on. */
async function startAgain(connection: FunctionConnection): Promise<void> {
  try {
    await connection.start();
  } catch {
    // The function has reported its failure.
  }
}
