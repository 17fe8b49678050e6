import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { SideProgram } from '../../provision/find-side-program.ts';
import {
  identifyProcess,
  isAlive,
  type ProcessIdentity,
} from '../../provision/process-identity.ts';
import { HandedFiles } from './handed-files.ts';
import { giveSocketTo } from './own-file.ts';
import { describeExit, type ProcessExit, watchEnd, watchForeignEnd } from './process-end.ts';
import { MACHINE_VARIABLE } from './qemu-process.ts';
import { isListening } from './unix-sockets.ts';
import { asAccount, environmentOf, type VmAccount } from './vm-account.ts';
import type { WatchedFolder } from './watched-folder.ts';

/** What runs beside QEMU, and as whom. */
export interface SideProcessOptions {
  readonly program: SideProgram;
  /** Folder of the machine, where the socket is. */
  readonly folder: WatchedFolder;
  /** Name of the socket in the folder; no other process of the machine has it. */
  readonly socket: string;
  /**
   * Makes the arguments.
   * @param socket by what name the program makes its socket
   * @param files by what names it opens the files that it needs
   */
  readonly args: (socket: string, files: HandedFiles) => readonly string[];
  /** Who the process is, which has the folder then; by default who this one is. */
  readonly account?: VmAccount | undefined;
  /** Whose the socket is; by default the process's own. QEMU has to be able to connect. */
  readonly socketOwner?: VmAccount | undefined;
}

/** A program as it is found again when its owner is no more. */
export interface SideProcessRecord {
  readonly name: string;
  readonly socket: string;
  readonly identity: ProcessIdentity;
}

/** From spawn to the socket: a loaded machine takes seconds. */
const START_LIMIT_MS = 60_000;
/** Nothing says when a socket that is there is listened on. */
const POLL_MS = 5;
const END_LIMIT_MS = 5_000;
/** In a folder that is QEMU's, a name may be a link to something that only the service can write. */
const APPEND = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;

/**
 * A program that runs beside QEMU for one device of a machine. It is in a group of its own with what it forks, and ends
 * with the machine or with this process, however that ends.
 */
export class SideProcess {
  readonly name: string;
  /** Where it listens. */
  readonly socket: string;
  readonly #identity: ProcessIdentity;
  /** Whether another process has started it, so that its id may be another's as soon as it has ended. */
  readonly #isForeign: boolean;
  /** Resolves when the process is no more. */
  readonly ended: Promise<ProcessExit>;
  /** Whether its end was asked for. */
  #isAsked = false;
  #isGone = false;

  private constructor(
    name: string,
    socket: string,
    identity: ProcessIdentity,
    ended: Promise<ProcessExit>,
    isForeign = false,
  ) {
    this.name = name;
    this.socket = socket;
    this.#identity = identity;
    this.#isForeign = isForeign;
    this.ended = ended;
    void ended.then(() => {
      this.#isGone = true;
    });
  }

  /**
   * Starts a program and waits until it listens on its socket.
   * @throws Error with the program's own words when it does not come up; nothing is left then
   */
  static async start(options: SideProcessOptions): Promise<SideProcess> {
    const { program, folder, account, socketOwner } = options;
    const socket = folder.file(options.socket);
    const output = folder.outlives ? outputOf(socket) : undefined;
    const files = new HandedFiles(account);
    let print: 'pipe' | number = 'pipe';
    let child: ChildProcess;
    let listensAt: string;
    try {
      // Folders above the machine's may be closed to its account.
      files.giveFolder(folder.path);
      listensAt = files.name(socket);
      const args = options.args(listensAt, files);
      const [command, before] = files.program(program.command, program.args);
      if (output !== undefined) print = openSync(output, APPEND, 0o600);
      child = spawn(command, [...before, ...args], {
        cwd: '/',
        detached: true,
        stdio: ['ignore', print, print, ...files.descriptors],
        env: { ...environmentOf(account), [MACHINE_VARIABLE]: folder.path },
        ...asAccount(account),
      });
    } finally {
      files.close();
      if (typeof print === 'number') closeSync(print);
    }
    const { pid } = child;
    const onEnd = (): void => {
      if (pid !== undefined) folder.processEnded(-pid);
    };
    const ended = watchEnd(child, onEnd, output);
    const identity = pid === undefined ? undefined : identifyProcess(pid);
    if (pid === undefined || identity === undefined) throw notStarted(program.name, await ended);
    folder.watchProcess(-pid);
    const side = new SideProcess(program.name, socket, identity, ended);
    try {
      await listening(program.name, listensAt, child, ended);
      if (socketOwner !== undefined) giveSocketTo(socketOwner, socket);
      return side;
    } catch (error) {
      await side.end();
      throw error;
    }
  }

  /** Takes over a program that another process has started. */
  static adopt({ name, socket, identity }: SideProcessRecord): SideProcess {
    const ended = watchForeignEnd(identity, outputOf(socket));
    return new SideProcess(name, socket, identity, ended, true);
  }

  /** What {@link SideProcess.adopt} takes. */
  get record(): SideProcessRecord {
    return { name: this.name, socket: this.socket, identity: this.#identity };
  }

  get pid(): number {
    return this.#identity.pid;
  }

  /** Whether it was to end. Otherwise its end is a failure. */
  get isEnding(): boolean {
    return this.#isAsked;
  }

  /** Ends it: asks, and kills it when it does not. Safe to call twice. */
  async end(): Promise<ProcessExit> {
    this.#isAsked = true;
    this.#kill('SIGTERM');
    const timer = setTimeout(() => this.#kill('SIGKILL'), END_LIMIT_MS);
    try {
      return await this.ended;
    } finally {
      clearTimeout(timer);
    }
  }

  /** What it forked may be there longer than the process itself, and holds its output open as long. */
  #kill(signal: NodeJS.Signals): void {
    if (this.#isGone || (this.#isForeign && !isAlive(this.#identity))) return;
    try {
      process.kill(-this.#identity.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** Where a program prints that outlives its owner. */
function outputOf(socket: string): string {
  return `${socket}.log`;
}

async function listening(
  name: string,
  socket: string,
  child: ChildProcess,
  ended: Promise<ProcessExit>,
): Promise<void> {
  const limit = performance.now() + START_LIMIT_MS;
  while (!isListening(socket)) {
    if (child.exitCode !== null || child.signalCode !== null) throw notStarted(name, await ended);
    if (performance.now() > limit) {
      throw new Error(`${name} did not start within ${START_LIMIT_MS} ms`);
    }
    await delay(POLL_MS);
  }
}

function notStarted(name: string, exit: ProcessExit): Error {
  return new Error(`${name} did not start: ${describeExit(exit)}`);
}
