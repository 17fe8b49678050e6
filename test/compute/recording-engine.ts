import { DeviceDirectory, type DeviceEndpoint } from '../../src/compute/device-directory.ts';
import type {
  Engine,
  EngineDevice,
  EngineExit,
  EngineRequest,
  EngineSystem,
  ResourceChange,
  SaveTarget,
  ShutdownRequest,
} from '../../src/compute/engine.ts';
import type { ComputeServiceOptions } from '../../src/compute/served-systems.ts';
import { ComputeService } from '../../src/compute/service.ts';
import { INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { HcsError } from '../../src/hcs/hcs-error.ts';
import type { ComputeSystem, ShutdownType } from '../../src/hcs/schema/documents.ts';

type Step =
  | 'create'
  | 'start'
  | 'pause'
  | 'resume'
  | 'shutDown'
  | 'terminate'
  | 'addDevice'
  | 'removeDevice'
  | 'modify'
  | 'crash'
  | 'save'
  | 'properties';

/** An engine that does nothing but remember what it was asked, and wait or fail where a test says so. */
export class RecordingEngine implements Engine {
  readonly name = 'recording';
  /** What was asked, in order: `'start'`, `'addDevice 0f6c…'`. */
  readonly log: string[] = [];
  readonly machines: RecordedMachine[] = [];
  readonly #failures = new Map<Step, unknown>();
  readonly #failuresOnce = new Map<Step, unknown>();
  readonly #gates = new Map<Step, Promise<void>>();
  checkError: unknown;
  shutdownTypes: readonly ShutdownType[] = ['Shutdown'];

  get machine(): RecordedMachine {
    const machine = this.machines.at(-1);
    if (machine === undefined) throw new Error('no machine was created');
    return machine;
  }

  /** Makes a step fail from now on. */
  fail(step: Step, error: unknown): void {
    this.#failures.set(step, error);
  }

  /** Makes a step fail the next time. */
  failNext(step: Step, error: unknown): void {
    this.#failuresOnce.set(step, error);
  }

  /** Makes a step wait from now on, until the function that it returns is called. */
  hold(step: Step): () => void {
    let open = (): void => {};
    this.#gates.set(
      step,
      new Promise((resolve) => {
        open = resolve;
      }),
    );
    return () => {
      this.#gates.delete(step);
      open();
    };
  }

  async step(step: Step, detail = ''): Promise<void> {
    this.log.push(detail === '' ? step : `${step} ${detail}`);
    await this.#gates.get(step);
    if (this.#failuresOnce.has(step)) {
      const error = this.#failuresOnce.get(step);
      this.#failuresOnce.delete(step);
      throw error;
    }
    if (this.#failures.has(step)) throw this.#failures.get(step);
  }

  check(): void {
    if (this.checkError !== undefined) throw this.checkError;
  }

  async create(request: EngineRequest): Promise<EngineSystem> {
    await this.step('create');
    const machine = new RecordedMachine(this, request);
    this.machines.push(machine);
    return machine;
  }
}

/** One machine of a {@link RecordingEngine}; tests end and crash it through `request`. */
export class RecordedMachine implements EngineSystem {
  readonly #engine: RecordingEngine;
  readonly request: EngineRequest;
  /** What endpoints resolved to, by instance id. */
  readonly connected = new Map<string, unknown>();

  constructor(engine: RecordingEngine, request: EngineRequest) {
    this.#engine = engine;
    this.request = request;
  }

  exit(exit: EngineExit): void {
    this.request.exited(exit);
  }

  async start(devices: readonly EngineDevice[]): Promise<void> {
    await this.#engine.step('start', devices.map(({ instanceId }) => instanceId).join(' '));
    for (const device of devices) await this.#connect(device);
  }

  pause(): Promise<void> {
    return this.#engine.step('pause');
  }

  resume(): Promise<void> {
    return this.#engine.step('resume');
  }

  get shutdownTypes(): readonly ShutdownType[] {
    return this.#engine.shutdownTypes;
  }

  shutDown({ type }: ShutdownRequest): Promise<void> {
    return this.#engine.step('shutDown', type === 'Shutdown' ? '' : type);
  }

  async terminate(): Promise<void> {
    await this.#engine.step('terminate');
    this.request.exited({ exitType: 'ForcedExit', status: 0 });
  }

  async addDevice(device: EngineDevice): Promise<void> {
    await this.#engine.step('addDevice', device.instanceId);
    await this.#connect(device);
  }

  async removeDevice(instanceId: string): Promise<void> {
    await this.#engine.step('removeDevice', instanceId);
    this.connected.delete(instanceId);
  }

  async modify(change: ResourceChange): Promise<void> {
    const { path, keys, request, settings, logicalProcessors } = change;
    const processors = logicalProcessors === undefined ? [] : [`on ${logicalProcessors}`];
    const detail = [request, path, ...keys, JSON.stringify(settings), ...processors].join(' ');
    await this.#engine.step('modify', detail.trim());
  }

  crash(): Promise<void> {
    return this.#engine.step('crash');
  }

  async save(target: SaveTarget, signal?: AbortSignal): Promise<void> {
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => reject(new Error('the save was given up')));
    });
    const step = this.#engine.step('save', target.kind === 'file' ? target.path : target.kind);
    await Promise.race([step, aborted]);
  }

  async properties(types: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
    await this.#engine.step('properties', types.join(' '));
    return types.includes('Memory') ? { Memory: { VirtualNodeCount: 1 } } : {};
  }

  async #connect({ instanceId, configuration, endpoint }: EngineDevice): Promise<void> {
    this.connected.set(instanceId, await endpoint.powerOn(configuration));
  }
}

/** A device host's endpoint that remembers what happened to it. */
export class RecordedEndpoint implements DeviceEndpoint {
  readonly log: string[] = [];
  refusal: unknown;

  async powerOn(configuration: readonly string[]): Promise<unknown> {
    this.log.push(`on ${configuration.join(',')}`);
    if (this.refusal !== undefined) throw this.refusal;
    return { kind: 'test' };
  }

  async powerOff(): Promise<void> {
    this.log.push('off');
  }
}

/** A service over a recording engine, with the few calls that most tests make. */
export class Rig {
  readonly engine = new RecordingEngine();
  readonly directory = new DeviceDirectory();
  readonly core: ComputeService;

  constructor(options: Partial<ComputeServiceOptions> = {}) {
    const { engine, directory } = this;
    this.core = new ComputeService({ engines: [engine], directory, ...options });
  }

  /** Makes a call on an operation of its own and waits for it. */
  async run(start: (operation: HCS_OPERATION) => void): Promise<string | null> {
    const operation = this.core.HcsCreateOperation(null, null);
    try {
      start(operation);
      return await this.core.HcsWaitForOperationResult(operation, INFINITE);
    } finally {
      this.core.HcsCloseOperation(operation);
    }
  }

  async create(id = 'vm', document: ComputeSystem = vm()): Promise<HCS_SYSTEM> {
    let system: HCS_SYSTEM | undefined;
    await this.run((operation) => {
      system = this.core.HcsCreateComputeSystem(id, JSON.stringify(document), operation, null);
    });
    return system as HCS_SYSTEM;
  }

  async start(system: HCS_SYSTEM): Promise<void> {
    await this.run((operation) => this.core.HcsStartComputeSystem(system, operation, null));
  }

  async terminate(system: HCS_SYSTEM): Promise<void> {
    await this.run((operation) => this.core.HcsTerminateComputeSystem(system, operation, null));
  }

  async modify(system: HCS_SYSTEM, request: unknown): Promise<void> {
    await this.run((operation) =>
      this.core.HcsModifyComputeSystem(system, operation, JSON.stringify(request), null),
    );
  }

  async properties(system: HCS_SYSTEM, query: unknown = null): Promise<Record<string, unknown>> {
    const text = query === null ? null : JSON.stringify(query);
    const result = await this.run((operation) =>
      this.core.HcsGetComputeSystemProperties(system, operation, text),
    );
    return JSON.parse(result ?? 'null') as Record<string, unknown>;
  }

  /** Announces a device as a device host does. */
  announce(instanceId: string, systemId = 'vm', classId = CLASS_ID): RecordedEndpoint {
    const endpoint = new RecordedEndpoint();
    this.directory.register({ systemId, classId, instanceId }, endpoint);
    return endpoint;
  }
}

export const CLASS_ID = 'b2d4f6a8-1c3e-4a5b-9d7f-6e8c0a2b4d60';
export const INSTANCE = '0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c01';
export const OTHER_INSTANCE = '0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c02';

/** A machine document, with FlexibleIov devices. */
export function vm(...instanceIds: readonly string[]): ComputeSystem {
  const devices = instanceIds.map((id) => [id, device()] as const);
  return {
    Owner: 'test',
    SchemaVersion: { Major: 2, Minor: 1 },
    VirtualMachine: {
      ComputeTopology: { Memory: { SizeInMB: 64 } },
      Services: { Shutdown: {} },
      Devices: { FlexibleIov: Object.fromEntries(devices) },
    },
  };
}

/** A FlexibleIov entry. */
export function device(...configuration: readonly string[]) {
  return {
    EmulatorId: CLASS_ID,
    HostingModel: 'External' as const,
    Configuration: [...configuration],
  };
}

/** A request that adds or removes a device. */
export function deviceRequest(type: 'Add' | 'Remove', instanceId: string) {
  return {
    ResourcePath: `VirtualMachine/Devices/FlexibleIov/${instanceId}`,
    RequestType: type,
    Settings: device('port=1'),
  };
}

/** The code that a call fails with, or `S_OK`. */
export async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call();
    return 'S_OK';
  } catch (error) {
    if (error instanceof HcsError) return error.code;
    throw error;
  }
}

/** The error that a call fails with. */
export async function errorOf(call: () => unknown): Promise<HcsError> {
  try {
    await call();
  } catch (error) {
    if (error instanceof HcsError) return error;
    throw error;
  }
  throw new Error('the call did not fail');
}

/** A turn of the event loop in which all callbacks that are due have run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
