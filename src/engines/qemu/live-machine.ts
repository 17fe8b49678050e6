import { rmSync } from 'node:fs';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import type { GuestConnection } from './guest/connection.ts';
import type { HandedFiles } from './handed-files.ts';
import type { AccessUser } from './machine-access.ts';
import type { MachinePlan, NetworkEndpoints } from './machine-plan.ts';
import { deviceOf, type Part } from './part.ts';
import type { ProcessorCgroup } from './processor-cgroup.ts';
import type { QmpClient } from './qmp.ts';
import { hasDevice, type RootPorts } from './root-ports.ts';
import type { SideProcesses } from './side-processes.ts';
import { unplugDevice } from './unplug.ts';
import type { WatchedFolder } from './watched-folder.ts';

/** What a {@link LiveMachine} is made of. */
export interface LiveMachineParts {
  readonly id: string;
  readonly runtimeId: string;
  readonly qmp: QmpClient;
  readonly pid: number;
  readonly ports: RootPorts;
  readonly folder: WatchedFolder;
  readonly sides: SideProcesses;
  /** How QEMU comes by files and sockets. */
  readonly files: HandedFiles;
  readonly plan: MachinePlan;
  /** Whether its memory is a private copy of a template's. */
  readonly isClone: boolean;
  /** MiB of memory that QEMU was started with. */
  readonly baseMemoryMB: number;
  /** MiB of memory that can come later. */
  readonly memoryRoomMB: number;
  /** Milliseconds that a guest has to let go of a device, or of memory. */
  readonly guestLimit: number | undefined;
  readonly endpoints: NetworkEndpoints;
  /** Sockets that QEMU has made, which end with it. */
  readonly ownSockets: readonly string[];
}

/** A machine while it is there: what it is made of now, and the way to change that. */
export class LiveMachine {
  /** What the machine would be created from to be as it is now. */
  plan: MachinePlan;
  /** Whether its processors have run. */
  hasStarted = false;
  /** Whether it has to be given the state that it goes on from before its processors run. */
  waitsForState = false;
  /** Whether something was plugged into a root port that the firmware has to see. */
  needsReset = false;
  readonly id: string;
  readonly runtimeId: string;
  readonly qmp: QmpClient;
  readonly pid: number;
  readonly ports: RootPorts;
  readonly folder: WatchedFolder;
  /** The programs that run beside QEMU. */
  readonly sides: SideProcesses;
  /** Whether its memory is a private copy of a template's, which no other process has. */
  readonly isClone: boolean;
  /** How QEMU comes by files and sockets. */
  readonly files: HandedFiles;
  readonly baseMemoryMB: number;
  readonly memoryRoomMB: number;
  readonly guestLimit: number | undefined;
  readonly endpoints: NetworkEndpoints;
  /** Sockets that QEMU has made, which end with it. */
  readonly ownSockets: Set<string>;
  /** Whether a change is made that may have been made before, by a process that is no more. */
  isSettling = false;
  /** Whether such a process ended inside a call, which may have left what devices are to stand on. */
  wasInterrupted = false;
  /** Where the document asks for it. */
  guestConnection: GuestConnection | undefined;
  /** Once its processors have been limited. */
  processorCgroup: ProcessorCgroup | undefined;
  readonly #cleanups = new Set<() => Promise<void>>();
  /** What QEMU was given for parts that are there, by their ids. */
  readonly #lent = new Map<string, readonly (() => Promise<void>)[]>();

  constructor(parts: LiveMachineParts) {
    this.plan = parts.plan;
    this.id = parts.id;
    this.runtimeId = parts.runtimeId;
    this.qmp = parts.qmp;
    this.pid = parts.pid;
    this.ports = parts.ports;
    this.folder = parts.folder;
    this.sides = parts.sides;
    this.isClone = parts.isClone;
    this.files = parts.files;
    this.baseMemoryMB = parts.baseMemoryMB;
    this.memoryRoomMB = parts.memoryRoomMB;
    this.guestLimit = parts.guestLimit;
    this.endpoints = parts.endpoints;
    this.ownSockets = new Set(parts.ownSockets);
  }

  /** Who opens the machine's files. */
  get user(): AccessUser {
    return { id: this.id, account: this.files.account };
  }

  /** A socket that QEMU has made, which must not outlive it. */
  ownSocket(path: string): void {
    this.ownSockets.add(path);
    this.folder.watchFile(path);
  }

  /** Calls `cleanup` when QEMU has ended. */
  atEnd(cleanup: () => Promise<void>): void {
    this.#cleanups.add(cleanup);
  }

  /** Keeps what QEMU was lent for a part, and takes back what it had for it before. */
  async keep(id: string, lent: readonly (() => Promise<void>)[]): Promise<void> {
    const before = this.#lent.get(id) ?? [];
    if (lent.length > 0) this.#lent.set(id, lent);
    else this.#lent.delete(id);
    for (const back of before) await back();
  }

  /** QEMU has ended. */
  async ended(): Promise<void> {
    for (const path of [...this.ownSockets]) this.disownSocket(path);
    const cleanups = [...this.#cleanups];
    this.#cleanups.clear();
    for (const cleanup of cleanups) await cleanup();
  }

  /** A socket that QEMU has made and has left. @returns whether it was one */
  disownSocket(path: string): boolean {
    if (!this.ownSockets.delete(path)) return false;
    rmSync(path, { force: true });
    this.folder.leaveFile(path);
    return true;
  }

  /** Adds a part. @throws QmpError when QEMU refuses; nothing of the part is left then */
  async plug(part: Part): Promise<void> {
    if (this.isSettling || this.wasInterrupted) {
      if (await hasDevice(this.qmp, part.id)) return;
      await this.#clear(part);
    }
    const port = part.isPci ? this.ports.take(part.id) : undefined;
    const undo: Part['backends'][number]['remove'][] = [];
    const lent: (() => Promise<void>)[] = [];
    try {
      for (const {
        add: [command, args],
        remove,
      } of part.backends) {
        const given = await this.files.lend(this.qmp, args);
        lent.push(given.back);
        await this.qmp.execute(command, given.args);
        undo.unshift(remove);
      }
      await this.qmp.execute('device_add', deviceOf(part, port));
      if (part.isPci && !this.hasStarted) this.needsReset = true;
      await this.keep(part.id, lent);
    } catch (error) {
      for (const remove of undo) await this.qmp.execute(...remove).catch(() => undefined);
      for (const back of lent) await back();
      this.ports.release(part.id);
      throw error;
    }
  }

  /**
   * Has the guest let go of a part, and removes it.
   * @param what what the user calls it
   * @throws HcsError ERROR_TIMEOUT when the guest does not let go, HCS_E_INVALID_STATE before the machine has started
   */
  async unplug(part: Part, what: string): Promise<void> {
    if (part.isPci && !this.hasStarted) {
      throw new HcsError({
        function: 'HcsModifyComputeSystem',
        hresult: HRESULT.HCS_E_INVALID_STATE,
        message: `Cannot remove ${what} as the machine has not started: its guest has to let go of the device; start it first`,
      });
    }
    if (this.isSettling) {
      if (await hasDevice(this.qmp, part.id)) {
        throw new Error(`Cannot tell whether the guest is about to let go of ${what}: it is there`);
      }
      await this.#clear(part);
      this.ports.release(part.id);
      return;
    }
    await unplugDevice(this.qmp, { id: part.id, what, limit: this.guestLimit });
    for (const { remove } of [...part.backends].reverse()) await this.qmp.execute(...remove);
    await this.keep(part.id, []);
    this.ports.release(part.id);
  }

  /** Removes what a device has stood on, or was to stand on, as far as it is there. */
  async #clear(part: Part): Promise<void> {
    for (const { remove } of [...part.backends].reverse()) {
      await this.qmp.execute(...remove).catch(() => undefined);
    }
  }
}
