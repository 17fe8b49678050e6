// Longer than most files: the life of one system, whose parts share one state.
import { HCS_EVENT_TYPE } from '../hcs/core/constants.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT, signedHresult } from '../hcs/hresult.ts';
import type {
  AttributionRecord,
  ComputeSystem,
  CpuGroup,
  ShutdownOptions,
  SystemExitStatus,
} from '../hcs/schema/documents.ts';
import type { Cancellation } from './cancellation.ts';
import type { CpuGroups } from './cpu-groups.ts';
import type { DeviceDirectory, DeviceEndpoint } from './device-directory.ts';
import type {
  Engine,
  EngineDevice,
  EngineExit,
  EngineRequest,
  EngineSystem,
  ResourceChange,
  SaveTarget,
} from './engine.ts';
import { crashReport, exitStatus } from './exit-status.ts';
import { failure } from './failure.ts';
import { type FlexibleIovEntry, resolveDevice } from './flexible-iov.ts';
import type { Modification } from './modify-request.ts';
import type { ServedSystemRecord } from './served-system-record.ts';
import {
  devicesLeft,
  ENDED,
  FINISHED,
  type LeftSystem,
  settleCall,
  TERMINATE,
} from './settle-call.ts';
import { shutdownRequest } from './shutdown-request.ts';
import type { VmLifecycle } from './system-handle.ts';
import type { KeptSystem } from './system-journal.ts';
import type { SystemKind } from './system-kind.ts';
import type { SystemListener } from './system-listener.ts';
import { illegality, type StateCall, type SystemState } from './system-state.ts';
import type { CallBegun, SettledCall, UnfinishedCall } from './unfinished-call.ts';

/** What a {@link ServedSystem} is made of. */
export interface SystemPlan {
  /** `''` for none. */
  readonly idNamespace: string;
  readonly id: string;
  /** Text of the document. */
  readonly configuration: string;
  /** In the string format, where one was given. */
  readonly securityDescriptor: string | undefined;
  /** uid of who created it; undefined: the user of the service. */
  readonly owner: number | undefined;
  /** What the directory of device hosts calls it. */
  readonly directoryId: string;
  readonly runtimeId: string;
  readonly document: ComputeSystem;
  readonly kind: SystemKind;
  readonly entries: readonly FlexibleIovEntry[];
  readonly engine: Engine;
  /** What the engine calls the template that the system is a clone of. */
  readonly template: string | undefined;
  readonly directory: DeviceDirectory;
  readonly groups: CpuGroups;
  /** Called once, when the system is no more: its id is free. */
  stopped(): void;
}

/**
 * One compute system: what it is in, who holds it, what it runs on. Calls run one after the other, in the order in which
 * they were made; only `terminate` overtakes them.
 */
export class ServedSystem {
  readonly plan: SystemPlan;
  readonly handles = new Set<SystemListener>();
  /** What is kept of it for another service; undefined: nothing is. */
  kept: KeptSystem | undefined;
  /** Whether it was ever held, and so somebody hears of its end. */
  wasHeld = false;
  #state: SystemState = 'Created';
  #isCreated = false;
  /** The terminate call that is under way; undefined again when it fails. */
  #termination: Promise<void> | undefined;
  #isShuttingDown = false;
  /** CPU group that it runs in. */
  #cpuGroup: string | undefined;
  /** Whether nothing that the machine does matters any more. */
  #isLeft = false;
  /** Why the machine is being ended, when that is because its start failed. */
  #startFailure: EngineExit | undefined;
  /** Whether the handles know that a crash has begun. */
  #hasCrashed = false;
  /** What the exit is put down to when the guest has crashed. */
  #crash: AttributionRecord | undefined;
  #machine: EngineSystem | undefined;
  #exit: SystemExitStatus | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #creation: Promise<void> | undefined;
  readonly #entries = new Map<string, FlexibleIovEntry>();
  readonly #devices = new Map<string, ServedDevice>();
  /** Resolves as soon as the machine has ended. */
  readonly #ended: Promise<void>;
  #end: () => void = () => {};
  /** Resolves when what follows the end has been done: devices are off, the event is on its way. */
  readonly #settled: Promise<void>;
  #settle: () => void = () => {};

  constructor(plan: SystemPlan) {
    this.plan = plan;
    for (const entry of plan.entries) this.#entries.set(entry.instanceId.toLowerCase(), entry);
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  get state(): SystemState {
    return this.#state;
  }

  /** Whether enumeration lists it: from the time that creation has completed with success until it has stopped. */
  get isListed(): boolean {
    return this.#isCreated && this.#exit === undefined;
  }

  /** How the system ended, once it has. */
  get exit(): SystemExitStatus | undefined {
    return this.#exit;
  }

  /** What another service would need to take the system over, as of now. */
  get record(): ServedSystemRecord {
    const { idNamespace, id, runtimeId, configuration, engine, template } = this.plan;
    const { securityDescriptor, owner } = this.plan;
    const engineRecord = this.#exit === undefined ? this.#machine?.record?.() : undefined;
    const isCreating = !this.#isCreated && this.#exit === undefined;
    return {
      idNamespace,
      id,
      runtimeId,
      createdDocument: configuration,
      ...(securityDescriptor === undefined ? {} : { securityDescriptor }),
      ...(owner === undefined ? {} : { owner }),
      engine: engine.name,
      state: isCreating ? 'Creating' : this.#state,
      ...(this.#exit === undefined ? {} : { exit: this.#exit }),
      ...(template === undefined ? {} : { template }),
      entries: [...this.#entries.values()],
      devices: [...this.#devices.values()].map(({ instanceId, classId, configuration }) => ({
        instanceId,
        classId,
        configuration,
      })),
      ...(this.#isShuttingDown ? { isShuttingDown: true as const } : {}),
      ...(this.#cpuGroup === undefined ? {} : { cpuGroup: this.#cpuGroup }),
      ...(engineRecord === undefined ? {} : { engineRecord }),
    };
  }

  /** Builds the machine. Called once, first. */
  create(): Promise<void> {
    this.#creation = this.#inTurn(undefined, async () => {
      try {
        const processors = this.#processors('HcsCreateComputeSystem');
        this.#machine = await this.plan.engine.create(this.#request(processors));
        this.#isCreated = true;
        this.kept?.built(this.record);
        this.#become('Created');
      } catch (error) {
        this.#isLeft = true;
        await this.#machine?.terminate().catch(() => {});
        this.#neverWas(error);
        throw error;
      }
    });
    return this.#creation;
  }

  /**
   * Takes over what another service has left. Called once, in place of {@link create}; a machine that has ended meanwhile
   * makes a system that has.
   * @throws what the engine says of a machine that is there and cannot be taken over
   */
  adopt(record: ServedSystemRecord): Promise<void> {
    this.#isCreated = true;
    this.#isShuttingDown = record.isShuttingDown === true;
    this.#creation = this.#inTurn(undefined, async () => {
      if (record.exit !== undefined) return this.#finish(record.exit);
      const { engine } = this.plan;
      const isToEnd = record.unfinished?.some((call) => call.function === TERMINATE) === true;
      if (engine.adopt === undefined) {
        const detail = 'the service that ran the machine has ended, and the machine with it';
        return this.#exited(isToEnd ? TERMINATED : unexpected(detail));
      }
      for (const entry of devicesLeft(record)) {
        this.#devices.set(entry.instanceId.toLowerCase(), this.#leftDevice(entry));
      }
      const wasInterrupted = record.unfinished !== undefined;
      const request = { ...this.#request(undefined), wasInterrupted };
      const adoption = await engine.adopt(record.engineRecord, request);
      if (adoption.kind === 'ended') {
        return this.#exited(isToEnd ? TERMINATED : adoption.exit);
      }
      this.#machine = adoption.system;
      this.#knowDevices(adoption.devices);
      if (record.cpuGroup !== undefined) this.#join(record.cpuGroup);
      if (this.#exit === undefined) this.#state = adoption.state;
      this.#keep();
    });
    return this.#creation;
  }

  /**
   * Finishes or undoes what was on its way when another service ended. Called once, after {@link adopt}; calls that are
   * made now come after it.
   * @param wanted the state that the system was in
   */
  settle(
    calls: readonly UnfinishedCall[],
    wanted: ServedSystemRecord['state'],
  ): Promise<SettledCall[]> {
    if (calls.some((call) => call.function === TERMINATE)) return this.#settleEnd(calls);
    return this.#inTurn(undefined, async () => {
      const settled: SettledCall[] = [];
      for (const call of calls) {
        const outcome = this.#machine && (await settleCall(call, wanted, this.#left));
        settled.push({ function: call.function, ...(outcome ?? ENDED) });
      }
      if (this.#exit === undefined) this.kept?.settled(this.record);
      return settled;
    });
  }

  /** Lets the machine go on without this service, when the calls that were made have ended. */
  leave(): Promise<void> {
    return this.#inTurn(undefined, async () => {
      this.#isLeft = true;
      this.#machine?.release?.();
    });
  }

  /** Whether the service has let go of it. */
  get isLeft(): boolean {
    return this.#isLeft;
  }

  start(name: string, cancellation: Cancellation): Promise<void> {
    return this.#changing({ function: name }, cancellation, async () => {
      const machine = this.#require(name, 'start');
      const devices = [...this.#entries.values()].map((entry) => this.#resolve(name, entry));
      this.#entries.clear();
      for (const device of devices) this.#devices.set(device.instanceId.toLowerCase(), device);
      try {
        await this.#guard(name, machine.start(devices));
      } catch (error) {
        if (this.#exit !== undefined) throw error;
        const hresult = error instanceof HcsError ? error.hresult : HRESULT.E_FAIL;
        const detail = error instanceof Error ? error.message : String(error);
        this.#startFailure = { exitType: 'UnexpectedExit', status: hresult, detail };
        await machine.terminate().catch(() => {});
        this.#exited(this.#startFailure);
        await this.#settled;
        throw error;
      }
      this.#become('Running');
    });
  }

  pause(name: string, cancellation: Cancellation): Promise<void> {
    return this.#changing({ function: name }, cancellation, async () => {
      await this.#guard(name, this.#require(name, 'pause').pause());
      this.#become('Paused');
    });
  }

  resume(name: string, cancellation: Cancellation): Promise<void> {
    return this.#changing({ function: name }, cancellation, async () => {
      await this.#guard(name, this.#require(name, 'resume').resume());
      this.#become('Running');
    });
  }

  shutDown(name: string, options: ShutdownOptions, cancellation: Cancellation): Promise<void> {
    return this.#changing({ function: name }, cancellation, async () => {
      const machine = this.#require(name, 'shutDown');
      if (this.#isShuttingDown) throw alreadyStopped(name, 'the system is being shut down');
      const request = shutdownRequest(name, this.plan.document, machine, options);
      // A guest that starts again can be asked again.
      this.#isShuttingDown = request.type !== 'Reboot';
      this.#keep(); // It may end before the call does.
      try {
        await this.#guard(name, machine.shutDown(request));
      } catch (error) {
        if (this.#exit?.ExitType === 'GracefulExit') return;
        this.#isShuttingDown = false;
        throw error;
      }
    });
  }

  /** Ends the machine, whatever else is going on. Resolves when nothing of it is left. */
  async terminate(name: string): Promise<void> {
    await this.#creation?.catch(() => {});
    const machine = this.#require(name, 'terminate');
    if (this.#termination !== undefined) {
      throw alreadyStopped(name, 'the system is being terminated');
    }
    const over = this.kept?.call({ function: TERMINATE });
    this.#termination = this.#terminateMachine(machine);
    try {
      await this.#termination;
    } catch (error) {
      this.#termination = undefined;
      over?.(this.record);
      throw error;
    }
  }

  /** Terminates the system, or waits for the end where it is under way. */
  async end(name: string): Promise<void> {
    try {
      await this.terminate(name);
    } catch (error) {
      await this.#termination;
      if (this.#exit === undefined) throw error;
      await this.#settled;
    }
  }

  modify(name: string, modification: Modification, cancellation: Cancellation): Promise<void> {
    return this.#changing({ function: name, modification }, cancellation, async () => {
      const machine = this.#require(name, 'modify');
      switch (modification.kind) {
        case 'addDevice':
          return await this.#add(name, machine, modification.entry);
        case 'removeDevice':
          return await this.#remove(name, machine, modification.instanceId);
        default:
          return await this.#change(name, modification.change, (change) => machine.modify(change));
      }
    });
  }

  crash(name: string, cancellation: Cancellation): Promise<void> {
    return this.#inTurn(cancellation, () =>
      this.#guard(name, this.#require(name, 'crash').crash()),
    );
  }

  /** Saves the paused machine. One that became a template can only be terminated. */
  save(name: string, target: SaveTarget, cancellation: Cancellation): Promise<void> {
    return this.#changing({ function: name, target }, cancellation, async () => {
      const machine = this.#require(name, 'save');
      cancellation.begin(true);
      await this.#guard(name, machine.save(target, cancellation.signal));
      if (target.kind === 'template') this.#become('SavedAsTemplate');
    });
  }

  /** Asks the engine for properties; `types` is not empty, `queries` says more of some of them. */
  properties(
    name: string,
    types: readonly string[],
    cancellation: Cancellation,
    queries?: Readonly<Record<string, unknown>>,
  ): Promise<Readonly<Record<string, unknown>>> {
    return this.#inTurn(cancellation, () => {
      const machine = this.#require(name, 'properties');
      return this.#guard(name, machine.properties(types, queries));
    });
  }

  /** Runs after the calls that were made before. */
  afterEarlierCalls<T>(work: () => T, cancellation: Cancellation): Promise<T> {
    return this.#inTurn(cancellation, async () => work());
  }

  async #terminateMachine(machine: EngineSystem): Promise<void> {
    await Promise.race([machine.terminate(), this.#ended]);
    this.#exited({ exitType: 'ForcedExit', status: HRESULT.HCS_E_TERMINATED });
    await this.#settled;
  }

  /** The state after a call, unless the machine has ended meanwhile. */
  #become(state: SystemState): void {
    if (this.#exit !== undefined) return;
    this.#state = state;
    this.#keep();
    this.#tellState();
  }

  #keep(): void {
    if (!this.#isLeft) this.kept?.changed(this.record);
  }

  #request(logicalProcessors: readonly number[] | undefined): EngineRequest {
    const { directoryId, runtimeId, document, template } = this.plan;
    return {
      id: directoryId,
      runtimeId,
      document: document as Readonly<Record<string, unknown>>,
      template,
      logicalProcessors,
      exited: (exit) => this.#exited(exit),
      notify: (event) => this.#notify(event),
      recordChanged: () => {
        // While it is being created or taken over, there is no record of it yet, or only the one that was kept.
        if (this.#machine !== undefined && this.#exit === undefined) this.#keep();
      },
      owned: this.kept?.owned,
    };
  }

  #tellState(): void {
    const lifecycle: VmLifecycle = {
      SystemId: this.plan.id,
      State: this.#state,
      Timestamp: new Date().toISOString(),
    };
    this.#deliver(HCS_EVENT_TYPE.HcsEventGroupVmLifecycle, JSON.stringify(lifecycle));
  }

  #inTurn<T>(cancellation: Cancellation | undefined, work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(() => {
      cancellation?.begin();
      return work();
    });
    this.#queue = turn.catch(() => {});
    return turn;
  }

  /** As {@link #inTurn}; that the call has begun is kept before it changes anything, and what it changes before it is over. */
  #changing(call: CallBegun, cancellation: Cancellation, work: () => Promise<void>): Promise<void> {
    return this.#inTurn(cancellation, async () => {
      const over = this.#exit === undefined ? this.kept?.call(call) : undefined;
      try {
        await work();
      } finally {
        if (this.#exit === undefined && !this.#isLeft) over?.(this.record);
      }
    });
  }

  async #settleEnd(calls: readonly UnfinishedCall[]): Promise<SettledCall[]> {
    await this.end(TERMINATE);
    return calls.map((call) => ({
      function: call.function,
      ...(call.function === TERMINATE ? FINISHED : ENDED),
    }));
  }

  get #left(): LeftSystem {
    const system = this;
    const machine = this.#machine!;
    const { settle } = machine;
    return {
      get state() {
        return system.#state;
      },
      get hasEnded() {
        return system.#exit !== undefined;
      },
      hasDevice: (instanceId) =>
        this.hasDevice(instanceId) || this.#entries.has(instanceId.toLowerCase()),
      pause: async () => {
        await machine.pause();
        this.#become('Paused');
      },
      settleChange:
        settle &&
        ((change) => {
          const name = 'HcsModifyComputeSystem';
          return this.#change(name, change, (made) => settle.call(machine, made));
        }),
    };
  }

  /** Of the devices that may be in a machine that was taken over, keeps those that are. */
  #knowDevices(instanceIds: readonly string[]): void {
    const there = new Set(instanceIds.map((id) => id.toLowerCase()));
    for (const key of [...this.#devices.keys()]) {
      if (there.has(key)) this.#entries.delete(key);
      else this.#devices.delete(key);
    }
  }

  #require(name: string, call: StateCall): EngineSystem {
    const code = illegality(call, this.#state);
    if (code === 'HCS_E_SYSTEM_ALREADY_STOPPED') {
      throw alreadyStopped(name, 'the system is not running any more');
    }
    if (code !== undefined || this.#machine === undefined) {
      throw failure(name, 'HCS_E_INVALID_STATE', stateText(this.#state));
    }
    return this.#machine;
  }

  /** The outcome of a call to the engine, or the failure that the end of the machine makes of it. */
  async #guard<T>(name: string, call: Promise<T>): Promise<T> {
    try {
      return await Promise.race([
        call,
        this.#ended.then(() => {
          throw new Error('the machine has ended');
        }),
      ]);
    } catch (error) {
      const termination = this.#termination;
      await termination?.catch(() => {});
      if (this.#exit === undefined) throw error;
      throw this.#endedDuring(name, termination !== undefined, error);
    }
  }

  #endedDuring(name: string, wasTerminated: boolean, cause: unknown): HcsError {
    if (wasTerminated && name === 'HcsStartComputeSystem') {
      const message = 'the system was terminated while it started';
      return failure(name, 'HCS_E_TERMINATED_DURING_START', message);
    }
    const { ExitType, Attribution, Detail } = this.#exit ?? {};
    if (ExitType !== 'UnexpectedExit') {
      return alreadyStopped(name, 'the system ended before the call was done');
    }
    const why = Detail === undefined ? '' : `: ${Detail}`;
    const message = `the system ended before the call was done${why}`;
    return failure(name, 'HCS_E_UNEXPECTED_EXIT', message, Attribution, cause);
  }

  async #add(name: string, machine: EngineSystem, entry: FlexibleIovEntry): Promise<void> {
    const key = entry.instanceId.toLowerCase();
    if (this.#entries.has(key) || this.#devices.has(key)) {
      throw failure(
        name,
        'ERROR_ALREADY_EXISTS',
        `the system has a device with the instance id ${entry.instanceId}: give each device an instance id of its own`,
      );
    }
    if (this.#state === 'Created') {
      this.#entries.set(key, entry);
      return;
    }
    const device = this.#resolve(name, entry);
    this.#devices.set(key, device);
    try {
      await this.#guard(name, machine.addDevice(device));
    } catch (error) {
      this.#devices.delete(key);
      await device.endpoint.powerOff().catch(() => {});
      throw error;
    }
  }

  async #change(
    name: string,
    change: ResourceChange,
    make: (change: ResourceChange) => Promise<void>,
  ): Promise<void> {
    if (change.path !== 'VirtualMachine/ComputeTopology/Processor/CpuGroup') {
      return await this.#guard(name, make(change));
    }
    const { Id } = change.settings as CpuGroup;
    if (Id === undefined) {
      throw failure(name, 'E_INVALIDARG', '$.Settings.Id is missing: it is the group to join');
    }
    const logicalProcessors = this.plan.groups.processorsOf(name, Id, '$.Settings.Id');
    await this.#guard(name, make({ ...change, logicalProcessors }));
    if (this.#exit === undefined) this.#join(Id);
  }

  #join(group: string): void {
    this.#cpuGroup = group;
    this.plan.groups.join(this, group);
  }

  async #remove(name: string, machine: EngineSystem, instanceId: string): Promise<void> {
    const key = instanceId.toLowerCase();
    if (this.#entries.delete(key)) return;
    const device = this.#devices.get(key);
    if (device === undefined) {
      throw failure(
        name,
        'ERROR_NOT_FOUND',
        `the system has no device with the instance id ${instanceId}`,
      );
    }
    await this.#guard(name, machine.removeDevice(device.instanceId));
    this.#devices.delete(key);
    await device.endpoint.powerOff();
  }

  #resolve(name: string, entry: FlexibleIovEntry): ServedDevice {
    const device = resolveDevice(name, this.plan.directory, this.plan.directoryId, entry);
    return { ...device, classId: entry.classId };
  }

  /**
   * A device that another service gave to the machine: the process that serves it goes on, and may have announced it
   * here again by the time that something is asked of it.
   */
  #leftDevice(entry: FlexibleIovEntry): ServedDevice {
    const { directory, directoryId: systemId } = this.plan;
    const { instanceId, classId } = entry;
    const found = (): DeviceEndpoint | undefined =>
      directory.find({ systemId, classId, instanceId });
    return {
      ...entry,
      endpoint: {
        powerOn: async () => {
          throw new Error(`Cannot give device ${instanceId} to the machine again: attach it anew`);
        },
        powerOff: async () => found()?.powerOff(),
        get failure() {
          return found()?.failure;
        },
      },
    };
  }

  /** Whether the machine has a device, or is about to. */
  hasDevice(instanceId: string): boolean {
    return this.#devices.has(instanceId.toLowerCase());
  }

  #notify({ type, document }: Parameters<EngineRequest['notify']>[0]): void {
    if (this.#exit !== undefined || this.#isLeft) return;
    if (type === 'guestConnectionClosed') {
      this.#deliver(HCS_EVENT_TYPE.HcsEventSystemGuestConnectionClosed, document);
      return;
    }
    const report = this.#crashReport(document);
    if (!this.#hasCrashed) this.#deliver(HCS_EVENT_TYPE.HcsEventSystemCrashInitiated, report);
    this.#hasCrashed = true;
    if (type === 'crashed') this.#deliver(HCS_EVENT_TYPE.HcsEventSystemCrashReport, report);
  }

  #deliver(type: HCS_EVENT_TYPE, document: string): void {
    for (const handle of this.handles) handle.event(type, document);
  }

  /** The CrashReport document; an engine that only has words for the crash gives them as text. */
  #crashReport(text: string): string {
    const report = { SystemId: this.plan.id, ...crashReport(text) };
    const { CrashParameters } = report;
    this.#crash = { GuestCrash: CrashParameters === undefined ? {} : { CrashParameters } };
    return JSON.stringify(report);
  }

  /** The processors that the document binds the machine to. */
  #processors(name: string): readonly number[] | undefined {
    const id = this.plan.document.VirtualMachine?.ComputeTopology?.Processor?.CpuGroup?.Id;
    if (id === undefined) return undefined;
    const at = '$.VirtualMachine.ComputeTopology.Processor.CpuGroup.Id';
    const processors = this.plan.groups.processorsOf(name, id, at);
    this.#join(id);
    return processors;
  }

  #neverWas(error: unknown): void {
    const hresult = error instanceof HcsError ? error.hresult : HRESULT.E_FAIL;
    this.#state = 'Stopped';
    this.plan.groups.leave(this);
    this.#exit = { Status: signedHresult(hresult), ExitType: 'UnexpectedExit' };
    this.kept?.forget();
    this.plan.stopped();
    this.#end();
    for (const handle of this.handles) handle.ended(JSON.stringify(this.#exit));
    this.#settle();
  }

  #exited(exit: EngineExit): void {
    if (this.#exit !== undefined || this.#isLeft) return;
    this.#finish(exitStatus(this.#startFailure ?? exit, this.#isShuttingDown, this.#crash));
  }

  #finish(exit: SystemExitStatus): void {
    this.#state = 'Stopped';
    this.#exit = exit;
    this.#entries.clear();
    if (!this.#isLeft) this.kept?.settled(this.record); // Calls that are on their way are over by that.
    this.plan.groups.leave(this);
    this.#end();
    void this.#afterExit(JSON.stringify(this.#exit));
  }

  async #afterExit(document: string): Promise<void> {
    const devices = [...this.#devices.values()];
    this.#devices.clear();
    await Promise.allSettled(devices.map(async ({ endpoint }) => endpoint.powerOff()));
    // Only now, as the devices may be meant for a machine of the same id.
    this.plan.stopped();
    this.#tellState();
    for (const handle of this.handles) {
      handle.event(HCS_EVENT_TYPE.HcsEventSystemExited, document);
      handle.ended(document);
    }
    this.#settle();
  }
}

/** A FlexibleIov device of the machine. */
interface ServedDevice extends EngineDevice {
  readonly classId: string;
}

/** How a machine ends that somebody has ended. */
const TERMINATED: EngineExit = { exitType: 'ForcedExit', status: HRESULT.S_OK };

function unexpected(detail: string): EngineExit {
  return { exitType: 'UnexpectedExit', status: HRESULT.HCS_E_UNEXPECTED_EXIT, detail };
}

function stateText(state: SystemState): string {
  const word = state === 'SavedAsTemplate' ? 'saved as a template' : state.toLowerCase();
  return `the system is ${word}`;
}

function alreadyStopped(name: string, message: string): HcsError {
  return failure(name, 'HCS_E_SYSTEM_ALREADY_STOPPED', message);
}
