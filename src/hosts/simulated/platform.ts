import type { Clock, GuestMemory } from '../../device/services.ts';
import type { LocalInstance, LocalPlatform } from '../../device-host/local-platform.ts';
import type { FunctionConnection, SimulatedEngine } from '../../engines/simulated/engine.ts';
import { InterruptLine } from '../../engines/simulated/interrupts.ts';
import type { HCS_SYSTEM } from '../../hcs/core/handles.ts';

/** Time of a device that is in no machine: it stands still. */
const NO_TIME: Clock = { now: 0, after: () => ({ cancel() {} }) };

/** Devices of simulated machines: everything is in this process, and calls are direct. */
export class SimulatedPlatform implements LocalPlatform {
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
    const connection: FunctionConnection = {
      kind: 'function',
      function: instance.interface,
      line: new InterruptLine(),
      start: () => instance.start(),
      stop: () => instance.stop(),
      onDisconnect: undefined,
    };
    this.#connections.set(instance, connection);
    return connection;
  }

  async disconnect(instance: LocalInstance): Promise<void> {
    const connection = this.#connections.get(instance);
    this.#connections.delete(instance);
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

  clock(instance: LocalInstance): Clock {
    return this.#engine.machineOf(instance.systemId)?.clock ?? NO_TIME;
  }

  setInterruptLine(instance: LocalInstance, asserted: boolean): void {
    this.#connections.get(instance)?.line.set(asserted);
  }
}
