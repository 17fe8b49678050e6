import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { SideProgram } from '../../provision/find-side-program.ts';
import { describeExit, type ProcessExit, watchEnd } from './process-end.ts';
import { isListening } from './unix-sockets.ts';
import type { VmAccount } from './vm-account.ts';
import type { WatchedFolder } from './watched-folder.ts';

/** What runs beside QEMU, and as whom. */
export interface SideProcessOptions {
  readonly program: SideProgram;
  /** Folder of the machine, where the socket is. */
  readonly folder: WatchedFolder;
  /** Name of the socket in the folder; no other process of the machine has it. */
  readonly socket: string;
  /** Makes the arguments for the socket's path. */
  readonly args: (socket: string) => readonly string[];
  /** Who the process is; by default who this one is. */
  readonly account?: VmAccount | undefined;
  /** Whose the socket is; by default the process's own. QEMU has to be able to connect. */
  readonly socketOwner?: VmAccount | undefined;
}

/** From spawn to the socket: a loaded machine takes seconds. */
const START_LIMIT_MS = 60_000;
/** Nothing says when a socket that is there is listened on. */
const POLL_MS = 5;
const END_LIMIT_MS = 5_000;

/**
 * A program that runs beside QEMU for one device of a machine. It is in a group of its own with what it forks, and ends
 * with the machine or with this process, however that ends.
 */
export class SideProcess {
  readonly name: string;
  /** Where it listens. */
  readonly socket: string;
  readonly pid: number;
  /** Resolves when the process is no more. */
  readonly ended: Promise<ProcessExit>;
  /** Whether its end was asked for. */
  #isAsked = false;
  #isGone = false;

  private constructor(name: string, socket: string, pid: number, ended: Promise<ProcessExit>) {
    this.name = name;
    this.socket = socket;
    this.pid = pid;
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
    const child = spawn(program.command, [...program.args, ...options.args(socket)], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
    });
    const { pid } = child;
    const ended = watchEnd(child, () => {
      if (pid !== undefined) folder.processEnded(-pid);
    });
    if (pid === undefined) throw notStarted(program.name, await ended);
    folder.watchProcess(-pid);
    const process = new SideProcess(program.name, socket, pid, ended);
    try {
      await listening(program.name, socket, child, ended);
      if (socketOwner !== undefined) chownSync(socket, socketOwner.uid, socketOwner.gid);
      return process;
    } catch (error) {
      await process.end();
      throw error;
    }
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
    if (this.#isGone) return;
    try {
      process.kill(-this.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
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
