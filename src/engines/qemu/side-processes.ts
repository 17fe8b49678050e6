import { randomBytes } from 'node:crypto';
import { describeExit } from './process-end.ts';
import { SideProcess, type SideProcessOptions, type SideProcessRecord } from './side-process.ts';
import type { VmAccount } from './vm-account.ts';
import type { WatchedFolder } from './watched-folder.ts';

/** Of the names of sockets: too many to guess, and few enough for the path of one. */
const NAME_BYTES = 9;

/** What {@link SideProcesses.start} takes. */
export type SideProcessRequest = Omit<SideProcessOptions, 'folder' | 'socket'>;

/** Programs by the ids of their devices, as they are found again when their owner is no more. */
export type SideProcessRecords = Readonly<Record<string, SideProcessRecord>>;

/** The programs that run beside one machine's QEMU, by the ids of their devices. */
export class SideProcesses {
  /**
   * Called when one ends that should not: its device does nothing any more. One that its peer has left ends as well, with
   * code 0.
   */
  onFailure: (text: string) => void = () => {};
  /** Called when {@link records} has one more, before its device is there. */
  onStart: () => void = () => {};
  /** Whose QEMU is; undefined: this process's own. */
  readonly account: VmAccount | undefined;
  readonly #folder: WatchedFolder;
  readonly #processes = new Map<string, SideProcess>();
  /** Those that QEMU is about to leave. */
  readonly #leaving = new Map<string, Promise<void>>();

  /** @param account whose QEMU is, and the folder; by default this process's own */
  constructor(folder: WatchedFolder, account?: VmAccount) {
    this.#folder = folder;
    this.account = account;
  }

  /**
   * Starts the program of a device, as who QEMU is unless the request says otherwise.
   * @throws Error with the program's own words when it does not come up
   */
  async start(device: string, request: SideProcessRequest): Promise<SideProcess> {
    await this.end(device); // Of an attempt that a process which is no more has made.
    const side = await SideProcess.start({
      account: this.account,
      socketOwner: this.account,
      ...request,
      folder: this.#folder,
      // The folder is QEMU's: nothing must be there yet, nor beside it where programs note their ids.
      socket: `s${randomBytes(NAME_BYTES).toString('base64url')}`,
    });
    this.#add(device, side);
    this.onStart();
    return side;
  }

  /**
   * Takes over programs that another process has started.
   * @param records what {@link SideProcesses.records} gave
   */
  adopt(records: SideProcessRecords): void {
    for (const [device, record] of Object.entries(records)) {
      this.#add(device, SideProcess.adopt(record));
    }
  }

  /** What {@link SideProcesses.adopt} takes. */
  get records(): SideProcessRecords {
    return Object.fromEntries([...this.#processes].map(([device, side]) => [device, side.record]));
  }

  /** Where the program of a device listens. @throws Error when it has none */
  socketOf(device: string): string {
    const side = this.#processes.get(device);
    if (side === undefined) throw new Error(`Cannot connect ${device}: nothing serves it`);
    return side.socket;
  }

  /** Ends the program of a device, if it has one. */
  async end(device: string): Promise<void> {
    const side = this.#processes.get(device);
    this.#processes.delete(device);
    await side?.end();
  }

  /**
   * Has QEMU leave the program of a device, which ends by that or is ended then. Its end is no failure, however it ends:
   * of one that was taken over nobody knows.
   * @throws what `unplug` throws; the program goes on then
   */
  async leave(device: string, unplug: () => Promise<void>): Promise<void> {
    const left = unplug().then(() => this.end(device));
    this.#leaving.set(device, left);
    try {
      await left;
    } finally {
      this.#leaving.delete(device);
    }
  }

  #add(device: string, side: SideProcess): void {
    this.#processes.set(device, side);
    void side.ended.then(async (exit) => {
      await this.#leaving.get(device)?.catch(() => undefined);
      if (side.isEnding || (exit.code === 0 && exit.signal === null)) return;
      this.onFailure(`${side.name} ended: ${describeExit(exit)}`);
    });
  }

  /** Ends all of them. */
  async endAll(): Promise<void> {
    await Promise.all([...this.#processes.keys()].map((device) => this.end(device)));
  }
}
