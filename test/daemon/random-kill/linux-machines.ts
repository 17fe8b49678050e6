import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tpmStateOf } from '../../../src/engines/qemu/resources/tpm.ts';
import { readSavedState } from '../../../src/engines/qemu/saved-state.ts';
import type { ComputeCore } from '../../../src/hcs/compute-core.ts';
import type {
  ComputeSystem,
  Plan9Share,
  VirtualSmbShare,
} from '../../../src/hcs/schema/documents.ts';
import { vsockServiceId } from '../../../src/hcs/vsock-service-id.ts';
import { lastingEngine } from '../../guest/lasting-machines.ts';
import { tinyKernel } from '../../guest/tiny-kernel.ts';
import { besideMachine } from './beside-machine.ts';
import { ControlGroups } from './control-groups.ts';
import { Violation } from './history.ts';
import type { KilledHost, Made, Seen } from './killed-host.ts';
import {
  type MachineProcess,
  machineProcesses,
  type QemuView,
  STATUS,
  viewOf,
} from './machine-look.ts';
import { isThere, type OperationKind, type Parts, type ShareName } from './machine-model.ts';

/** The network adapter that machines are given. */
export const ADAPTER = '6b4b1c5e-3d7e-4e27-9a9c-0e4f62dd2a11';
/** Numbers that disks have. */
export const LUNS = [0, 1, 2] as const;
/** The least that a document can say: there is nothing to boot. */
const MEMORY_MB = 1;
/** What the firmware of one with a TPM needs. */
const UEFI_MEMORY_MB = 128;
/** The service that guests can have. */
export const SERVICE = vsockServiceId(5000);
const SHARES: readonly ShareName[] = ['plan9', 'smb'];

/** Machines in QEMU, which outlive the daemon. */
export class LinuxMachines implements KilledHost {
  readonly name = 'linux';
  readonly outlives = true;
  readonly mostSteps = 14;
  readonly kinds: readonly OperationKind[];
  readonly socket: string;
  readonly options: readonly string[];
  readonly #ids: readonly string[];
  readonly #folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
  readonly state = join(this.#folder, 'state');
  readonly #machines = join(this.state, 'machines');
  readonly #files = join(this.#folder, 'files');
  readonly #groups = new ControlGroups(`hcsd-test-${randomUUID()}`);

  /** @param ids those that machines will have */
  constructor(ids: readonly string[]) {
    this.#ids = ids;
    chmodSync(this.#folder, 0o755);
    mkdirSync(this.state, { mode: 0o700 });
    mkdirSync(this.#files);
    writeFileSync(this.#kernel, tinyKernel());
    for (const id of ids) {
      for (const lun of LUNS) writeFileSync(this.#disk(id, lun), Buffer.alloc(64 * 1024));
      const { granted, lent } = this.filesOf(id);
      for (const path of [granted, lent]) writeFileSync(path, '');
    }
    for (const share of SHARES) mkdirSync(this.#shared(share));
    this.socket = join(this.#folder, 'run', 'hcsd.sock');
    this.options = ['--host', 'linux', '--state', this.state, '--socket', this.socket];
    this.kinds = [
      ...(['create', 'restore', 'start', 'pause', 'resume', 'save', 'look'] as const),
      ...(['addDisk', 'removeDisk', 'updateDisk', 'addAdapter', 'addShare'] as const),
      ...(['addService', 'removeService', 'saveTemplate', 'clone'] as const),
      // Nobody but root gives machines accounts of their own.
      ...(process.getuid?.() === 0 ? (['grant', 'revoke', 'lend'] as const) : []),
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

  #guestState(id: string): string {
    return join(this.#files, `${id}.state`);
  }

  #shared(share: ShareName): string {
    return join(this.#files, share);
  }

  /** Files that the machine of an id is granted, for good and until its end. */
  filesOf(id: string): { readonly granted: string; readonly lent: string } {
    return { granted: join(this.#files, `${id}.granted`), lent: join(this.#files, `${id}.lent`) };
  }

  adopt(pid: number): void {
    this.#groups.add(pid);
  }

  document(id: string, made: Made): ComputeSystem {
    const { isHeld, restores, template, tpm } = made;
    const disks = made.disks.map((lun) => [String(lun), this.attachment(id, lun)]);
    const kernel = { LinuxKernelDirect: { KernelFilePath: this.#kernel } };
    const SizeInMB = tpm ? UEFI_MEMORY_MB : MEMORY_MB;
    const [plan9, smb] = SHARES.map((name) =>
      made.shares.includes(name) ? [this.share(name).Settings] : [],
    );
    return {
      SchemaVersion: { Major: 2, Minor: 1 },
      ShouldTerminateOnLastHandleClosed: isHeld,
      VirtualMachine: {
        Chipset: tpm ? { Uefi: {} } : kernel,
        ComputeTopology: { Memory: { SizeInMB }, Processor: { Count: 1 } },
        Devices: {
          ComPorts: { '0': { NamedPipe: this.#port(id) } },
          Scsi: { disks: { Attachments: Object.fromEntries(disks) } },
          ...(made.adapter ? { NetworkAdapters: { [ADAPTER]: {} } } : {}),
          Plan9: { Shares: plan9 as Plan9Share[] },
          VirtualSmb: { Shares: smb as VirtualSmbShare[] },
        },
        ...(tpm
          ? {
              GuestState: { GuestStateFilePath: this.#guestState(id) },
              SecuritySettings: { EnableTpm: true },
            }
          : {}),
        ...(restores ? { RestoreState: { SaveStateFilePath: this.savedFile(id) } } : {}),
        ...(template === undefined ? {} : { RestoreState: { TemplateSystemId: template } }),
      },
    };
  }

  /** A share in documents and requests. */
  share(name: ShareName): {
    readonly type: 'Plan9' | 'VirtualSmb';
    readonly Settings: Plan9Share | VirtualSmbShare;
  } {
    const Settings = { Name: name, Path: this.#shared(name) };
    if (name === 'smb') return { type: 'VirtualSmb', Settings };
    return { type: 'Plan9', Settings: { ...Settings, AccessName: name } };
  }

  attachment(id: string, lun: number): { readonly Type: 'VirtualDisk'; readonly Path: string } {
    return { Type: 'VirtualDisk', Path: this.#disk(id, lun) };
  }

  savedFile(id: string): string {
    return join(this.#files, `${id}.saved`);
  }

  async prepare(core: ComputeCore): Promise<void> {
    for (const id of this.#ids) await core.HcsCreateEmptyGuestStateFile(this.#guestState(id));
  }

  async grant(core: ComputeCore, id: string): Promise<void> {
    const disks = LUNS.map((lun) => this.#disk(id, lun));
    const folders = SHARES.map((share) => this.#shared(share));
    const own = [this.#kernel, ...disks, ...folders, this.#guestState(id)];
    for (const path of own) await core.HcsGrantVmAccess(id, path);
    const saved = this.savedFile(id);
    if (existsSync(saved)) await core.HcsGrantVmAccess(id, saved);
  }

  async readSaved(id: string): Promise<Parts | undefined> {
    if (!existsSync(this.savedFile(id))) return undefined;
    const { plan } = await readSavedState(this.savedFile(id));
    return {
      disks: plan.disks.map(({ lun }) => lun).sort(),
      adapter: plan.adapters.length > 0,
      shares: plan.shares.map(({ tag }) => tag as ShareName).sort(),
      tpm: plan.tpm !== undefined,
    };
  }

  async look(): Promise<ReadonlyMap<string, Seen>> {
    const views = machineProcesses(this.#machines).map(async ({ pid, folder, id }) => {
      if (id === undefined) return [];
      const view = await viewOf(folder).catch((error: Error) => {
        if (!existsSync(`/proc/${pid}`)) return undefined; // It was ending.
        throw new Violation(`QEMU of ${id} does not answer: ${error.message}`, id);
      });
      if (view === undefined) return [];
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
        shares: `${view.shares}` === `${state.shares}`,
        sockets: view.hasSockets === state.sockets,
        limit: quota === (state.limit === 0 ? -1 : state.limit),
      };
      if (Object.values(wrong).every((isRight) => isRight)) return undefined;
      return JSON.stringify({ ...view, quota });
    };
  }

  lastWords(): string {
    const there = machineProcesses(this.#machines);
    return readdirSync(this.#machines)
      .map((name) => join(this.#machines, name))
      .filter((folder) => !there.some((one) => one.folder === folder && one.id !== undefined))
      .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
      .filter((path) => path.endsWith('.log') || path.endsWith('/output'))
      .map((path) => ` (${path}: ${readFileSync(path, 'utf8').slice(-500)})`)
      .join('');
  }

  beside(id: string): Seen {
    return besideMachine(id, {
      processes: machineProcesses(this.#machines),
      tpmFile: tpmStateOf(this.#guestState(id)),
      ...this.filesOf(id),
    });
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
    const isOf = (name: string): boolean =>
      /^vm-\w+\.(disk\d|saved|state|state\.tpm|granted|lent)$|^(plan9|smb)$/.test(name);
    const isKnown = (one: MachineProcess): boolean =>
      processes.some(({ folder, id }) => folder === one.folder && ids.includes(id ?? ''));
    return [
      ...processes
        .filter((one) => !isKnown(one))
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
