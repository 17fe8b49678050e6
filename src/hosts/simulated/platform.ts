import type { Clock, GuestMemory } from '../../device/services.ts';
import { LocalEvents, type OpenEvent } from '../../device-host/local-events.ts';
import type {
  LocalInstance,
  LocalPlatform,
  OpenSection,
} from '../../device-host/local-platform.ts';
import type { SimulatedEngine } from '../../engines/simulated/engine.ts';
import type { FunctionConnection } from '../../engines/simulated/function-connection.ts';
import { InterruptLine } from '../../engines/simulated/interrupts.ts';
import type { HANDLE, HCS_SYSTEM } from '../../hcs/core/handles.ts';
import type { DoorbellEvent, Section } from '../../hdv/hdv-binding.ts';
import { SharedSections } from './sections.ts';

/** Time of a device that is in no machine: it stands still. */
const NO_TIME: Clock = { now: 0, after: () => ({ cancel() {} }) };

/** Devices of simulated machines: everything is in this process, and calls are direct. */
export class SimulatedPlatform implements LocalPlatform {
  /** Processors of these machines have no 8-byte accesses. */
  readonly widestWrite = 4;
  readonly #events = new LocalEvents();
  readonly #sections = new SharedSections();
  readonly #engine: SimulatedEngine;
  readonly #systemIdOf: (computeSystem: HCS_SYSTEM) => string | undefined;
  readonly #connections = new Map<LocalInstance, FunctionConnection>();

  constructor(
    engine: SimulatedEngine,
    systemIdOf: (computeSystem: HCS_SYSTEM) => string | undefined,
  ) {
    this.#engine = engine;
    this.#systemIdOf = systemIdOf;
  }

  systemIdOf(computeSystem: HCS_SYSTEM): string | undefined {
    return this.#systemIdOf(computeSystem);
  }

  async connect(instance: LocalInstance): Promise<FunctionConnection> {
    const fn = instance.interface;
    const connection: FunctionConnection = {
      kind: 'function',
      function: fn,
      line: new InterruptLine(),
      direct: instance.direct,
      start: () => instance.start(),
      stop: () => instance.stop(),
      save: fn.save === undefined ? undefined : () => fn.save?.(),
      restore: fn.restore === undefined ? undefined : (state) => fn.restore?.(state),
      onDisconnect: undefined,
    };
    this.#connections.set(instance, connection);
    instance.direct.onPagesChanged = () =>
      this.#engine.machineOf(instance.systemId)?.bus.pagesChanged();
    return connection;
  }

  async disconnect(instance: LocalInstance): Promise<void> {
    const connection = this.#connections.get(instance);
    this.#connections.delete(instance);
    instance.direct.onPagesChanged = undefined;
    connection?.onDisconnect?.();
  }

  memory(instance: LocalInstance): GuestMemory | undefined {
    return this.#connections.has(instance)
      ? this.#engine.machineOf(instance.systemId)?.ram
      : undefined;
  }

  deliverInterrupt(instance: LocalInstance, address: number, data: number): void {
    if (!this.#connections.has(instance)) return;
    this.#engine.machineOf(instance.systemId)?.deliverMessage(address, data);
  }

  openEvent(handle: HANDLE): OpenEvent | undefined {
    return this.#events.open(handle);
  }

  openSection(
    _instance: LocalInstance,
    handle: HANDLE,
    offset: number,
    length: number,
  ): OpenSection | undefined {
    return this.#sections.open(handle, offset, length);
  }

  /** `DevicePlatform`: an event whose ring is called on this thread. */
  doorbellEvent(ring: () => void): DoorbellEvent {
    return this.#events.create(ring);
  }

  /** `DevicePlatform`: memory that every processor reaches. */
  section(size: number): Section | undefined {
    return this.#sections.create(size);
  }

  clock(instance: LocalInstance): Clock {
    return this.#engine.machineOf(instance.systemId)?.clock ?? NO_TIME;
  }

  setInterruptLine(instance: LocalInstance, asserted: boolean): void {
    this.#connections.get(instance)?.line.set(asserted);
  }
}
