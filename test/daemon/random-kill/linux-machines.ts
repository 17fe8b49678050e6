import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSavedState } from '../../../src/engines/qemu/saved-state.ts';
import type { ComputeCore } from '../../../src/hcs/compute-core.ts';
import type { ComputeSystem } from '../../../src/hcs/schema/documents.ts';
import { lastingEngine } from '../../guest/lasting-machines.ts';
import { tinyKernel } from '../../guest/tiny-kernel.ts';
import { ControlGroups } from './control-groups.ts';
import type { KilledHost, Seen } from './killed-host.ts';
import { machineProcesses, type QemuView, STATUS, viewOf } from './machine-look.ts';
import { isThere, type OperationKind, type Parts } from './machine-model.ts';

/** The network adapter that machines are given. */
export const ADAPTER = '6b4b1c5e-3d7e-4e27-9a9c-0e4f62dd2a11';
/** Numbers that disks have. */
export const LUNS = [0, 1, 2] as const;
/** The least that a document can say: there is nothing to boot. */
const MEMORY_MB = 1;

/** Machines in QEMU, which outlive the daemon. */
export class LinuxMachines implements KilledHost {
  readonly name = 'linux';
  readonly outlives = true;
  readonly mostSteps = 16;
  readonly kinds: readonly OperationKind[];
  readonly socket: string;
  readonly options: readonly string[];
  readonly #folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
  readonly state = join(this.#folder, 'state');
  readonly #machines = join(this.state, 'machines');
  readonly #files = join(this.#folder, 'files');
  readonly #groups = new ControlGroups(`hcsd-test-${randomUUID()}`);

  /** @param ids those that machines will have */
  constructor(ids: readonly string[]) {
    chmodSync(this.#folder, 0o755);
    mkdirSync(this.state, { mode: 0o700 });
    mkdirSync(this.#files);
    writeFileSync(this.#kernel, tinyKernel());
    for (const id of ids) {
      for (const lun of LUNS) writeFileSync(this.#disk(id, lun), Buffer.alloc(64 * 1024));
    }
    this.socket = join(this.#folder, 'run', 'hcsd.sock');
    this.options = ['--host', 'linux', '--state', this.state, '--socket', this.socket];
    this.kinds = [
      ...(['create', 'restore', 'start', 'pause', 'resume', 'save', 'look'] as const),
      ...(['addDisk', 'removeDisk', 'updateDisk', 'addAdapter'] as const),
      ...(['terminate', 'closeLast'] as const),
      ...(this.#groups.folder === undefined ? [] : (['limit'] as const)),
    ];
  }

  get #kernel(): string {
    return join(this.#files, 'kernel');
  }

  #disk(id: string, lun: number): string {
    return join(this.#files, `${id}.disk${lun}`);
  }

  #port(id: string): string {
    return join(this.#files, `${id}.port`);
  }

  adopt(pid: number): void {
    this.#groups.add(pid);
  }

  document(id: string, parts: Parts, isHeld: boolean, restores: boolean): ComputeSystem {
    const disks = parts.disks.map((lun) => [String(lun), this.attachment(id, lun)]);
    return {
      SchemaVersion: { Major: 2, Minor: 1 },
      ShouldTerminateOnLastHandleClosed: isHeld,
      VirtualMachine: {
        Chipset: { LinuxKernelDirect: { KernelFilePath: this.#kernel } },
        ComputeTopology: { Memory: { SizeInMB: MEMORY_MB }, Processor: { Count: 1 } },
        Devices: {
          ComPorts: { '0': { NamedPipe: this.#port(id) } },
          Scsi: { disks: { Attachments: Object.fromEntries(disks) } },
          ...(parts.adapter ? { NetworkAdapters: { [ADAPTER]: {} } } : {}),
        },
        ...(restores ? { RestoreState: { SaveStateFilePath: this.savedFile(id) } } : {}),
      },
    };
  }

  attachment(id: string, lun: number): { readonly Type: 'VirtualDisk'; readonly Path: string } {
    return { Type: 'VirtualDisk', Path: this.#disk(id, lun) };
  }

  savedFile(id: string): string {
    return join(this.#files, `${id}.saved`);
  }

  async grant(core: ComputeCore, id: string): Promise<void> {
    const own = [this.#kernel, ...LUNS.map((lun) => this.#disk(id, lun))];
    for (const path of own) await core.HcsGrantVmAccess(id, path);
    const saved = this.savedFile(id);
    if (existsSync(saved)) await core.HcsGrantVmAccess(id, saved);
  }

  async readSaved(id: string): Promise<Parts | undefined> {
    if (!existsSync(this.savedFile(id))) return undefined;
    const { plan } = await readSavedState(this.savedFile(id));
    return { disks: plan.disks.map(({ lun }) => lun).sort(), adapter: plan.adapters.length > 0 };
  }

  async look(): Promise<ReadonlyMap<string, Seen>> {
    const views = machineProcesses(this.#machines).map(async ({ pid, folder, id }) => {
      const view = await viewOf(folder).catch(() => undefined); // One that is ending.
      if (id === undefined || view === undefined) return [];
      return [[id, this.#seen(view, this.#groups.quota(pid))] as const];
    });
    return new Map((await Promise.all(views)).flat());
  }

  #seen(view: QemuView, quota: number): Seen {
    return (state) => {
      const wrong = {
        status: isThere(state) && STATUS[state.life].includes(view.status),
        disks: `${view.disks}` === `${state.disks}` && `${view.nodes}` === `${state.disks}`,
        adapter: view.hasAdapter === state.adapter && view.hasNetwork === state.adapter,
        limit: quota === (state.limit === 0 ? -1 : state.limit),
      };
      if (Object.values(wrong).every((isRight) => isRight)) return undefined;
      return JSON.stringify({ ...view, quota });
    };
  }

  async killMachine(id: string): Promise<void> {
    const found = machineProcesses(this.#machines).filter((one) => one.id === id);
    for (const { pid } of found) process.kill(pid, 'SIGKILL');
    while (machineProcesses(this.#machines).some((one) => one.id === id)) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  leftovers(ids: readonly string[]): readonly string[] {
    const processes = machineProcesses(this.#machines);
    const folders = existsSync(this.#machines) ? readdirSync(this.#machines) : [];
    const known = new Set([
      ...['kernel', ...ids.map((id) => `${id}.port`)].map((name) => join(this.#files, name)),
    ]);
    const isOf = (name: string): boolean => /^vm-\w+\.(disk\d|saved)$/.test(name);
    return [
      ...processes
        .filter(({ id }) => id === undefined || !ids.includes(id))
        .map(({ pid, id }) => `the process ${pid} of ${id ?? 'a program beside QEMU'}`),
      ...ids
        .filter((id) => processes.filter((one) => one.id === id).length !== 1)
        .map((id) => `not one process of ${id}`),
      ...folders
        .filter((name) => !processes.some(({ folder }) => folder === join(this.#machines, name)))
        .map((name) => `the folder ${name}`),
      ...readdirSync(this.#files)
        .filter((name) => !isOf(name) && !known.has(join(this.#files, name)))
        .map((name) => `the file ${name}`),
      ...ids.filter((id) => !existsSync(this.#port(id))).map((id) => `no socket of ${id}`),
      ...this.#groups.pids
        .filter((group) => !processes.some(({ pid }) => pid === group))
        .map((group) => `the control group of process ${group}`),
    ];
  }

  async close(): Promise<void> {
    await lastingEngine(this.#machines).reap([]);
    this.#groups.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
