import { type ChildProcess, spawn } from 'node:child_process';
import { createServer, type Server, type Socket } from 'node:net';
import { describeExit, type ProcessExit, watchEnd } from './process-end.ts';
import { QmpClient, QmpError } from './qmp.ts';
import type { WatchedFolder } from './watched-folder.ts';

/** The descriptor by which QEMU has the file that is the guest's memory. */
export const MEMORY_FD = 3;

/** From spawn to the control connection: a loaded machine takes seconds. */
const START_LIMIT_MS = 60_000;
const QUIT_LIMIT_MS = 5_000;

/** One QEMU with its control connection. */
export class QemuProcess {
  readonly qmp: QmpClient;
  readonly pid: number;
  /** Resolves when the process is no more. */
  readonly ended: Promise<ProcessExit>;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, qmp: QmpClient, ended: Promise<ProcessExit>) {
    this.#child = child;
    this.pid = child.pid!;
    this.qmp = qmp;
    this.ended = ended;
  }

  /**
   * Starts QEMU and waits until it can be controlled.
   * @param args makes the arguments for a control socket
   * @param memory descriptor of the file that is the guest's memory, {@link MEMORY_FD} in QEMU; it stays the caller's
   * @throws Error with QEMU's own words when it does not come up; nothing is left then
   */
  static async start(
    command: string,
    args: (controlSocket: string) => readonly string[],
    folder: WatchedFolder,
    memory: number | undefined,
    qmpTimeout?: number,
  ): Promise<QemuProcess> {
    const path = folder.file('qmp');
    const server = createServer();
    await listen(server, path);
    const connected = new Promise<Socket>((resolve) => server.once('connection', resolve));
    const child = spawn(command, args(path), {
      stdio: ['ignore', 'pipe', 'pipe', ...(memory === undefined ? [] : [memory])],
    });
    const { pid } = child;
    const ended = watchEnd(child, () => {
      if (pid !== undefined) folder.processEnded(pid);
    });
    if (pid !== undefined) folder.watchProcess(pid);
    let timer: NodeJS.Timeout | undefined;
    try {
      const socket = await Promise.race([
        connected,
        ended.then((exit) => {
          throw new Error(`QEMU did not start: ${describeExit(exit)}`);
        }),
        new Promise<never>((_, reject) => {
          timer = setTimeout(
            () => reject(new Error(`QEMU did not start within ${START_LIMIT_MS} ms`)),
            START_LIMIT_MS,
          );
        }),
      ]);
      return new QemuProcess(child, await QmpClient.open(socket, qmpTimeout), ended);
    } catch (error) {
      child.kill('SIGKILL');
      const exit = await ended;
      // QEMU connects before it looks at the rest of its arguments: its own words say what it did not like.
      if (!(error instanceof QmpError) || error.kind !== 'Closed') throw error;
      throw new Error(`QEMU did not start: ${describeExit(exit)}`, { cause: error });
    } finally {
      clearTimeout(timer);
      server.close();
    }
  }

  /** Ends QEMU: asks it to quit, and kills it when it does not. */
  async quit(): Promise<ProcessExit> {
    this.qmp.execute('quit').catch(() => undefined); // It may be gone before it answers.
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), QUIT_LIMIT_MS);
    try {
      return await this.ended;
    } finally {
      clearTimeout(timer);
      this.qmp.close();
    }
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
}
