import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkSavedFile } from '../../../src/engines/simulated/saved-file.ts';
import type { ComputeSystem } from '../../../src/hcs/schema/documents.ts';
import type { KilledHost, Seen } from './killed-host.ts';
import type { OperationKind, Parts } from './machine-model.ts';

const NO_PARTS: Parts = { disks: [], adapter: false };

/** Simulated machines, which live in the daemon and end with it. */
export class SimulatedMachines implements KilledHost {
  readonly name = 'simulated';
  readonly outlives = false;
  readonly mostSteps = 120;
  readonly kinds: readonly OperationKind[] = [
    ...(['create', 'restore', 'start', 'pause', 'resume', 'save', 'look'] as const),
    ...(['terminate', 'closeLast'] as const),
  ];
  readonly socket: string;
  readonly state: string;
  readonly options: readonly string[];
  readonly #folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
  readonly #files = join(this.#folder, 'files');

  constructor() {
    mkdirSync(this.#files);
    this.socket = join(this.#folder, 'run', 'hcsd.sock');
    this.state = join(this.#folder, 'state');
    this.options = ['--host', 'simulated', '--state', this.state, '--socket', this.socket];
  }

  adopt(): void {}

  document(id: string, _parts: Parts, isHeld: boolean, restores: boolean): ComputeSystem {
    return {
      SchemaVersion: { Major: 2, Minor: 1 },
      ShouldTerminateOnLastHandleClosed: isHeld,
      VirtualMachine: {
        ComputeTopology: { Memory: { SizeInMB: 16 } },
        ...(restores ? { RestoreState: { SaveStateFilePath: this.savedFile(id) } } : {}),
      },
    };
  }

  savedFile(id: string): string {
    return join(this.#files, `${id}.saved`);
  }

  async grant(): Promise<void> {}

  async readSaved(id: string): Promise<Parts | undefined> {
    if (!existsSync(this.savedFile(id))) return undefined;
    await checkSavedFile(this.savedFile(id));
    return NO_PARTS;
  }

  async look(): Promise<ReadonlyMap<string, Seen>> {
    return new Map();
  }

  async killMachine(): Promise<void> {}

  leftovers(): readonly string[] {
    const files = readdirSync(this.#files).filter((name) => !/^vm-\w+\.saved$/.test(name));
    return files.map((name) => `the file ${join(this.#files, name)}`);
  }

  async close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
