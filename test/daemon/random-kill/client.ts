import type { ServiceConnection } from '../../../src/daemon/connect-service.ts';
import { ComputeSystem } from '../../../src/hcs/compute-system.ts';
import { HcsError } from '../../../src/hcs/hcs-error.ts';
import type { KilledHost } from './killed-host.ts';
import { ADAPTER, type LinuxMachines } from './linux-machines.ts';
import type { Operation } from './machine-model.ts';

/** What a call comes to when the service goes away before it answers. */
export const LOST = 'lost';

const GONE = ['HCS_E_SERVICE_DISCONNECT', 'HCS_E_SERVICE_NOT_AVAILABLE'];
/** Milliseconds after which a system that ends with its last handle is missed. */
const END_LIMIT_MS = 30_000;

/** One program that uses the service, over a connection of its own. */
export class Client {
  readonly number: number;
  readonly #host: KilledHost;
  readonly #connection: ServiceConnection;
  readonly #handles = new Map<string, ComputeSystem>();
  /** What the service said of the last failure. */
  lastMessage = '';

  constructor(number: number, host: KilledHost, connection: ServiceConnection) {
    this.number = number;
    this.#host = host;
    this.#connection = connection;
  }

  holds(id: string): boolean {
    return this.#handles.has(id);
  }

  /** Keeps a handle of a system that ends with its last one. */
  async hold(id: string): Promise<void> {
    this.#handles.set(id, await ComputeSystem.open(id, this.#connection));
  }

  async letGo(id: string): Promise<void> {
    const handle = this.#handles.get(id);
    this.#handles.delete(id);
    await handle?.close().catch(() => {});
  }

  /** Lets the machine of an id open its files. */
  grant(id: string): Promise<void> {
    return this.#host.grant(this.#connection.core, id);
  }

  /** Makes a call. @returns `'ok'`, the state that was asked for, the code of an error, or {@link LOST} */
  async run(id: string, operation: Operation): Promise<string> {
    try {
      return await this.#run(id, operation);
    } catch (error) {
      if (!(error instanceof HcsError)) throw error;
      if (GONE.includes(error.code)) return LOST;
      this.lastMessage = error.message;
      return error.code;
    }
  }

  /** All systems that the service lists, with their states. */
  async list(): Promise<ReadonlyMap<string, string>> {
    const found = await ComputeSystem.enumerate(undefined, this.#connection);
    return new Map(found.map(({ Id = '', State = '' }) => [Id, State]));
  }

  /** Hears how a system has ended. @returns undefined where there is none */
  async hear(id: string): Promise<string | undefined> {
    let system: ComputeSystem;
    try {
      system = await ComputeSystem.open(id, this.#connection);
    } catch (error) {
      if (error instanceof HcsError && error.code === 'HCS_E_SYSTEM_NOT_FOUND') return undefined;
      throw error;
    }
    const { ExitType, Detail = '' } = await system.exited;
    await system.close();
    return `${ExitType}: ${Detail}`;
  }

  async close(): Promise<void> {
    await this.#connection.close();
    await Promise.all([...this.#handles.keys()].map((id) => this.letGo(id)));
  }

  async #run(id: string, operation: Operation): Promise<string> {
    if (operation.kind === 'create') return await this.#create(id, operation.isHeld, operation);
    if (operation.kind === 'restore') {
      await this.grant(id);
      return await this.#create(id, false, { ...operation.parts, restores: true });
    }
    if (operation.kind === 'closeLast') return await this.#closeLast(id);
    const held = this.#handles.get(id);
    if (held !== undefined) return await this.#call(held, operation);
    const system = await ComputeSystem.open(id, this.#connection);
    try {
      return await this.#call(system, operation);
    } finally {
      await system.close().catch(() => {});
    }
  }

  async #create(
    id: string,
    isHeld: boolean,
    {
      disks,
      adapter = false,
      restores = false,
    }: {
      readonly disks: readonly number[];
      readonly adapter?: boolean;
      readonly restores?: boolean;
    },
  ): Promise<string> {
    const document = this.#host.document(id, { disks, adapter }, isHeld, restores);
    const system = await ComputeSystem.create(id, document, this.#connection);
    this.#handles.set(id, system);
    return 'ok';
  }

  async #closeLast(id: string): Promise<string> {
    await this.letGo(id);
    const limit = performance.now() + END_LIMIT_MS;
    while ((await this.list()).has(id)) {
      if (performance.now() > limit) return 'it does not end';
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return 'ok';
  }

  async #call(system: ComputeSystem, operation: Operation): Promise<string> {
    const { id } = system;
    switch (operation.kind) {
      case 'start':
        await system.start();
        break;
      case 'pause':
        await system.pause();
        break;
      case 'resume':
        await system.resume();
        break;
      case 'terminate':
        await system.terminate();
        break;
      case 'save': {
        const SaveStateFilePath = this.#host.savedFile(id);
        await system.save({ SaveType: 'ToFile', SaveStateFilePath });
        break;
      }
      case 'look':
        return (await system.properties()).State ?? 'nothing';
      default:
        await system.modify(this.#change(id, operation));
    }
    return 'ok';
  }

  #change(id: string, operation: Operation): Parameters<ComputeSystem['modify']>[0] {
    const host = this.#host as LinuxMachines;
    switch (operation.kind) {
      case 'addDisk':
      case 'updateDisk':
      case 'removeDisk': {
        const { kind, lun } = operation;
        return {
          ResourcePath: `VirtualMachine/Devices/Scsi/disks/Attachments/${lun}`,
          RequestType: kind === 'addDisk' ? 'Add' : kind === 'updateDisk' ? 'Update' : 'Remove',
          ...(kind === 'removeDisk' ? {} : { Settings: host.attachment(id, lun) }),
        };
      }
      case 'addAdapter':
        return {
          ResourcePath: `VirtualMachine/Devices/NetworkAdapters/${ADAPTER}`,
          RequestType: 'Add',
          Settings: {},
        };
      case 'limit':
        return {
          ResourcePath: 'VirtualMachine/ComputeTopology/Processor/Limits',
          RequestType: 'Update',
          Settings: { Limit: operation.limit },
        };
      default:
        throw new Error(`There is no change ${operation.kind}`);
    }
  }
}
