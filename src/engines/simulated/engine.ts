import { rm } from 'node:fs/promises';
import type { Engine, EngineRequest, EngineSystem } from '../../compute/engine.ts';
import { fileFailure } from '../../compute/file-failure.ts';
import type { OwnedResources } from '../../compute/owned-resources.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import { SavedStateError } from '../saved-state-head.ts';
import { checkDocument, memoryBytes, savedStatePath } from './document.ts';
import { SimulatedFiles } from './files.ts';
import { SimulatedMachine } from './machine.ts';
import { decodeState, type MachineState, requireMemory } from './machine-state.ts';
import { copyRam } from './ram-pages.ts';
import { SavedFile } from './saved-file.ts';
import { type ConnectElsewhere, SimulatedSystem, type Template } from './system.ts';

/** How a simulated engine is made; everything has a default. */
export interface SimulatedEngineOptions {
  /**
   * Connects machines to devices of other processes, which then can map the machines' memory. Without it, machines have
   * devices of this process; with it, none of those.
   */
  readonly connect?: ConnectElsewhere | undefined;
}

/** Runs machines in this process. Nothing moves in them but what guest programs and their virtual time do. */
export class SimulatedEngine implements Engine {
  readonly name = 'simulated';
  readonly files = new SimulatedFiles();
  readonly #machines = new Map<string, SimulatedMachine>();
  /** Machines that were saved as templates and have not ended since, by the ids of their systems. */
  readonly #templates = new Map<string, Template>();

  readonly #connect: ConnectElsewhere | undefined;

  constructor({ connect }: SimulatedEngineOptions = {}) {
    this.#connect = connect;
  }

  check(document: Readonly<Record<string, unknown>>): void {
    checkDocument(document);
  }

  async create(request: EngineRequest): Promise<EngineSystem> {
    const { id } = request;
    const { machine, state } = await this.#build(request);
    this.#machines.set(id, machine);
    return new SimulatedSystem(request, machine, state, {
      connect: this.#connect,
      saved: (template) => this.#templates.set(id, template),
      gone: () => {
        if (this.#machines.get(id) !== machine) return;
        this.#machines.delete(id);
        this.#templates.delete(id);
      },
    });
  }

  /** Machines end with their process: all that may be left are the files of saves that were on their way. */
  async reap(_records: readonly unknown[], orphaned?: OwnedResources): Promise<number> {
    for (const resource of orphaned?.all ?? []) {
      await rm(resource.name, { force: true });
      orphaned!.remove(resource);
    }
    return 0;
  }

  /** The machine of a system, from its creation until it has ended. */
  machineOf(systemId: string): SimulatedMachine | undefined {
    return this.#machines.get(systemId);
  }

  /** A machine with the RAM that it begins with, and the rest that it goes on from. */
  async #build({ id, document, template }: EngineRequest): Promise<Build> {
    const memory = memoryBytes(document);
    const memoryInFile = this.#connect !== undefined;
    const make = () => new SimulatedMachine({ memory, seed: seedOf(id), memoryInFile });
    if (template !== undefined) {
      const source = this.#templateOf(template);
      requireMemory(source.ram.size, memory);
      const state = decodeState(source.state);
      const machine = make();
      await copyRam(source.ram, machine.ram);
      return { machine, state };
    }
    const path = savedStatePath(document);
    return path === undefined
      ? { machine: make(), state: undefined }
      : await fromFile(path, memory, make);
  }

  #templateOf(id: string): Template {
    const found = this.#templates.get(id);
    if (found !== undefined) return found;
    throw new Error(`Cannot make a clone of system ${id}: it is no template any more`);
  }
}

interface Build {
  readonly machine: SimulatedMachine;
  readonly state: MachineState | undefined;
}

async function fromFile(
  path: string,
  memory: number,
  make: () => SimulatedMachine,
): Promise<Build> {
  const name = 'HcsCreateComputeSystem';
  try {
    await using file = await SavedFile.open(path);
    requireMemory(file.memory, memory);
    const machine = make();
    try {
      return { machine, state: decodeState(await file.read(machine.ram)) };
    } catch (error) {
      machine.ram.revokeAll();
      throw error;
    }
  } catch (error) {
    if (!(error instanceof SavedStateError)) throw fileFailure(name, path, error);
    const hresult = HRESULT.ERROR_VID_SAVED_STATE_CORRUPT;
    throw new HcsError({ function: name, hresult, message: error.message, cause: error });
  }
}

/** FNV-1a of the system's id: the same system has the same random numbers each time. */
function seedOf(id: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x0100_0193);
  return hash >>> 0;
}
