import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { listenUnix } from '../../ffi/unix-socket.ts';
import {
  identifyProcess,
  isAlive,
  type ProcessIdentity,
} from '../../provision/process-identity.ts';
import type { HandedFiles } from './handed-files.ts';
import { describeExit, type ProcessExit, watchEnd, watchForeignEnd } from './process-end.ts';
import { QmpClient, QmpError } from './qmp.ts';
import { asAccount, environmentOf } from './vm-account.ts';
import type { WatchedFolder } from './watched-folder.ts';

/** The descriptor by which QEMU has the file that is the guest's memory. */
export const MEMORY_FD = 3;
/** The descriptor by which QEMU has the socket on which it is controlled, which listens already. */
export const CONTROL_FD = 4;

/** Variable of the environment that names the folder of the machine which a process is of. */
export const MACHINE_VARIABLE = 'HDVKIT_MACHINE';

/** From spawn to the first words on the control connection: a loaded machine takes seconds. */
const START_LIMIT_MS = 60_000;
const QUIT_LIMIT_MS = 5_000;

/** Names of files in the folder of a machine. */
const CONTROL_SOCKET = 'qmp';
const OUTPUT = 'output';

/**
 * One QEMU with its control connection. QEMU is given a socket that listens, so that the first connection waits there until
 * QEMU is up, and that another process can connect when this one is no more.
 */
export class QemuProcess {
  readonly qmp: QmpClient;
  readonly identity: ProcessIdentity;
  /** How it comes by files and sockets. */
  readonly files: HandedFiles;
  /** Resolves when the process is no more. */
  readonly ended: Promise<ProcessExit>;
  /** Undefined for one that another process has started. */
  readonly #child: ChildProcess | undefined;

  private constructor(
    identity: ProcessIdentity,
    child: ChildProcess | undefined,
    qmp: QmpClient,
    ended: Promise<ProcessExit>,
    files: HandedFiles,
  ) {
    this.identity = identity;
    this.files = files;
    this.#child = child;
    this.qmp = qmp;
    this.ended = ended;
  }

  /**
   * Starts QEMU, in a session of its own, and waits until it can be controlled. In a folder that outlives this process QEMU
   * does, too, and prints into a file of the folder.
   * @param files what QEMU is given, and whose account it has: first {@link MEMORY_FD}, then {@link CONTROL_FD}
   * @throws Error with QEMU's own words when it does not come up; nothing is left then
   */
  static async start(
    command: string,
    args: readonly string[],
    folder: WatchedFolder,
    files: HandedFiles,
    qmpTimeout?: number,
  ): Promise<QemuProcess> {
    const path = folder.file(CONTROL_SOCKET);
    const output = folder.outlives ? folder.file(OUTPUT) : undefined;
    let child: ChildProcess;
    let print: 'pipe' | number = 'pipe';
    try {
      if (output !== undefined) print = openSync(output, 'a', 0o600);
      child = spawn(command, args, {
        stdio: ['ignore', print, print, ...files.descriptors],
        ...asAccount(files.account),
        // Ctrl-C and the end of a terminal are signals to its whole group: it is for the owner to say what comes of them.
        detached: true,
        env: { ...environmentOf(files.account), [MACHINE_VARIABLE]: folder.path },
      });
    } finally {
      if (typeof print === 'number') closeSync(print);
      files.close();
    }
    const { pid } = child;
    const onEnd = (): void => {
      if (pid !== undefined) folder.processEnded(pid);
    };
    const ended = watchEnd(child, onEnd, output);
    if (pid !== undefined) folder.watchProcess(pid);
    let socket: Socket | undefined;
    try {
      // While the process has not been waited for, its id is nobody else's, whether it runs or not.
      const identity = pid === undefined ? undefined : identifyProcess(pid);
      if (identity === undefined) throw new QmpError('start', 'Closed', 'QEMU has ended');
      socket = await connectTo(path);
      const qmp = await QmpClient.open(socket, qmpTimeout, START_LIMIT_MS);
      return new QemuProcess(identity, child, qmp, ended, files);
    } catch (error) {
      socket?.destroy();
      child.kill('SIGKILL');
      const exit = await ended;
      if (error instanceof QmpError && error.kind === 'Timeout') {
        throw new Error(`QEMU did not start within ${START_LIMIT_MS} ms`, { cause: error });
      }
      // QEMU listens before it looks at the rest of its arguments: its own words say what it did not like.
      throw new Error(`QEMU did not start: ${describeExit(exit)}`, { cause: error });
    }
  }

  /**
   * Connects to a QEMU that another process has started, which is no more.
   * @returns undefined when QEMU has ended
   * @throws Error when it is there and cannot be controlled
   */
  static async adopt(
    identity: ProcessIdentity,
    folder: WatchedFolder,
    files: HandedFiles,
    qmpTimeout?: number,
  ): Promise<QemuProcess | undefined> {
    if (!isAlive(identity)) return undefined;
    const ended = watchForeignEnd(identity, folder.file(OUTPUT));
    try {
      const qmp = await QmpClient.open(await connectTo(folder.file(CONTROL_SOCKET)), qmpTimeout);
      return new QemuProcess(identity, undefined, qmp, ended, files);
    } catch (error) {
      if (!isAlive(identity)) return undefined;
      throw new Error(
        `Cannot control QEMU, process ${identity.pid}: ${(error as Error).message}; end it by hand, or have it reaped`,
        { cause: error },
      );
    }
  }

  get pid(): number {
    return this.identity.pid;
  }

  /** Lets QEMU go on without this process. */
  release(): void {
    this.qmp.close();
    this.#child?.unref();
  }

  /** Ends QEMU: asks it to quit, and kills it when it does not. */
  async quit(): Promise<ProcessExit> {
    this.qmp.execute('quit').catch(() => undefined); // It may be gone before it answers.
    const timer = setTimeout(() => this.#kill(), QUIT_LIMIT_MS);
    try {
      return await this.ended;
    } finally {
      clearTimeout(timer);
      this.qmp.close();
    }
  }

  #kill(): void {
    if (this.#child !== undefined) this.#child.kill('SIGKILL');
    else killForeign(this.identity);
  }
}

/** The socket on which QEMU is to be controlled; it listens. @returns its descriptor, to be given to QEMU */
export function listenForControl(folder: WatchedFolder): number {
  return listenUnix(folder.file(CONTROL_SOCKET));
}

/** What a process that was left alone has printed last. */
export function outputFile(folder: WatchedFolder): string {
  return folder.file(OUTPUT);
}

/** Kills a process that is no child of this one, unless it has ended and its id is another's. */
export function killForeign(identity: ProcessIdentity): void {
  if (!isAlive(identity)) return;
  try {
    process.kill(identity.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function connectTo(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path, () => {
      socket.off('error', reject);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}
