import type {
  Engine,
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
import type { DirectTable } from '../../pci/direct-table.ts';
import { checkDocument, memoryBytes, stopsOnReset } from './document.ts';
import { SimulatedFiles } from './files.ts';
import type { InterruptLine } from './interrupts.ts';
import { SimulatedMachine } from './machine.ts';
import type { Slot, SlotFunction } from './root-complex.ts';

/** What the endpoint of a device must resolve to for this engine. */
export interface FunctionConnection {
  readonly kind: 'function';
  readonly function: SlotFunction;
  readonly line: InterruptLine;
  /** What the machine serves without the function. */
  readonly direct?: DirectTable | undefined;
  /** Runs Start, when it is not running. A promise where the function is on another thread. */
  start(): unknown;
  /** Runs Stop, when it is running. A promise where the function is on another thread. */
  stop(): unknown;
  /** Set by the engine: the device host calls it when the function goes away by itself. */
  onDisconnect: (() => void) | undefined;
}

/** Runs machines in this process. Nothing moves in them but what guest programs and their virtual time do. */
export class SimulatedEngine implements Engine {
  readonly name = 'simulated';
  readonly files = new SimulatedFiles();
  readonly #machines = new Map<string, SimulatedMachine>();

  check(document: Readonly<Record<string, unknown>>): void {
    checkDocument(document);
  }

  async create(request: EngineRequest): Promise<EngineSystem> {
    const machine = new SimulatedMachine({
      memory: memoryBytes(request.document),
      seed: seedOf(request.id),
    });
    this.#machines.set(request.id, machine);
    return new SimulatedSystem(request, machine, () => {
      if (this.#machines.get(request.id) === machine) this.#machines.delete(request.id);
    });
  }

  /** The machine of a system, from its creation until it has ended. */
  machineOf(systemId: string): SimulatedMachine | undefined {
    return this.#machines.get(systemId);
  }
}

interface Plugged {
  readonly device: EngineDevice;
  readonly connection: FunctionConnection;
  readonly slot: Slot;
}

class SimulatedSystem implements EngineSystem {
  readonly shutdownTypes = ['Shutdown', 'Reboot'] as const;
  readonly #request: EngineRequest;
  readonly #machine: SimulatedMachine;
  readonly #gone: () => void;
  readonly #plugged = new Map<string, Plugged>();
  /** The end, from when it has begun. */
  #ending: Promise<void> | undefined;

  constructor(request: EngineRequest, machine: SimulatedMachine, gone: () => void) {
    this.#request = request;
    this.#machine = machine;
    this.#gone = gone;
    if (stopsOnReset(request.document)) machine.onReset = () => machine.powerOff();
    machine.onEnd = (end) => {
      if (end.kind === 'crash') {
        const report = { SystemId: request.id, CrashLog: end.report };
        request.notify({ type: 'crashed', document: JSON.stringify(report) });
      }
      void this.#end(
        end.kind === 'powerOff'
          ? { exitType: 'GracefulExit', status: HRESULT.S_OK }
          : { exitType: 'UnexpectedExit', status: HRESULT.E_FAIL, detail: end.report },
      );
    };
  }

  async start(devices: readonly EngineDevice[]): Promise<void> {
    for (const device of devices) await this.#plug(device);
    for (const { connection } of this.#plugged.values()) await connection.start();
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
      message: `${path} cannot be changed on this host`,
    });
  }

  async crash(): Promise<void> {
    this.#machine.injectNonMaskableInterrupt();
  }

  async save(_target: SaveTarget): Promise<void> {
    throw new HcsError({
      function: 'HcsSaveComputeSystem',
      hresult: HRESULT.ERROR_NOT_SUPPORTED,
      message: 'a machine cannot be saved on this host',
    });
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

  async #plug(device: EngineDevice): Promise<void> {
    const endpoint = await device.endpoint.powerOn(device.configuration);
    try {
      if (!isConnection(endpoint)) {
        throw new TypeError(
          `Cannot plug device ${device.instanceId}: its device host offers no function in this process`,
        );
      }
      if (this.#ending !== undefined)
        throw new Error('Cannot plug a device: the machine has ended');
      const slot = this.#machine.plug(endpoint.function, endpoint.line, undefined, endpoint.direct);
      this.#plugged.set(device.instanceId, { device, connection: endpoint, slot });
      endpoint.onDisconnect = () => this.#machine.unplug(slot);
    } catch (error) {
      await device.endpoint.powerOff();
      throw error;
    }
  }

  async #unplug({ device, connection, slot }: Plugged): Promise<void> {
    this.#machine.unplug(slot);
    const stopped = connection.stop();
    if (stopped instanceof Promise) await stopped;
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
    this.#machine.ram.revokeAll();
    this.#gone();
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

function isConnection(endpoint: unknown): endpoint is FunctionConnection {
  return (
    typeof endpoint === 'object' &&
    endpoint !== null &&
    (endpoint as { kind?: unknown }).kind === 'function'
  );
}

/** FNV-1a of the system's id: the same system has the same random numbers each time. */
function seedOf(id: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x0100_0193);
  return hash >>> 0;
}
