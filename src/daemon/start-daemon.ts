import { spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { failure } from '../compute/failure.ts';
import { defaultStateFolder } from '../compute/state-folder.ts';
import { makeFolder } from './make-folder.ts';

/** The daemon that is started where none listens. */
export interface StartOnDemandOptions {
  readonly host?: 'linux' | 'simulated' | undefined;
  readonly stateFolder?: string | undefined;
  /** Milliseconds without clients and systems after which it ends by itself; 60,000. */
  readonly idleExitMs?: number | undefined;
}

/** Exit code of a daemon that found another one at its socket. */
export const EXIT_SERVED = 3;

const DEFAULT_IDLE_EXIT_MS = 60_000;

/** Bytes of a log from which on the next daemon begins a new one. */
const LONGEST_LOG = 1 << 20;

/** How far back in the log the reason of a daemon that ended is shown, in characters. */
const SHOWN_LOG = 2000;

/**
 * Starts a daemon that outlives this process, and waits until it listens, or until it finds that another one does or is
 * about to. What it says goes to `<socket>.log`; a long one is `<socket>.log.1` from then on.
 * @throws HcsError HCS_E_SERVICE_NOT_AVAILABLE with the last lines of the log
 */
export async function startDaemon(socket: string, options: StartOnDemandOptions): Promise<void> {
  const { host, stateFolder = defaultStateFolder(), idleExitMs = DEFAULT_IDLE_EXIT_MS } = options;
  const isSource = import.meta.url.endsWith('.ts');
  const main = new URL(`../cli/hcsd/main${isSource ? '.ts' : '.js'}`, import.meta.url);
  const logPath = `${socket}.log`;
  const log = openLog(logPath);
  const before = fstatSync(log).size;
  const child = spawn(
    process.execPath,
    [
      ...(isSource ? ['--import', import.meta.resolve('tsx'), '--conditions=hdvkit-source'] : []),
      fileURLToPath(main),
      // The folder of this process is not that of the daemon.
      ...['--socket', resolve(socket)],
      ...['--state', resolve(stateFolder)],
      ...['--idle-exit', String(idleExitMs / 1000)],
      ...(host === undefined ? [] : ['--host', host]),
    ],
    { cwd: '/', detached: true, stdio: ['ignore', 'pipe', log] },
  );
  closeSync(log);
  try {
    await new Promise<void>((listens, reject) => {
      // Its first line says that it listens.
      child.stdout?.once('data', () => listens());
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        if (code === EXIT_SERVED) listens();
        else
          reject(
            new Error(`it ended with ${signal ?? `code ${code}`}: ${saidSince(before, logPath)}`),
          );
      });
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `a service could not be started: ${reason}`;
    throw failure('hello', 'HCS_E_SERVICE_NOT_AVAILABLE', message, undefined, error);
  } finally {
    child.stdout?.destroy();
    child.removeAllListeners();
    child.unref();
  }
}

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;

/** Opens the log, in the folder of the socket, which may have to be made. Others may have put a link there. */
function openLog(path: string): number {
  try {
    makeFolder(dirname(path));
    const size = lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size > LONGEST_LOG) renameSync(path, `${path}.1`);
    return openSync(path, O_APPEND | O_CREAT | O_WRONLY | (O_NOFOLLOW ?? 0), 0o600);
  } catch (error) {
    const message = `no service can listen in the folder ${dirname(path)}: ${(error as Error).message}; name another socket by HDVKIT_SOCKET, or make the folder yours`;
    throw failure('hello', 'HCS_E_SERVICE_NOT_AVAILABLE', message, undefined, error);
  }
}

/** What one daemon has said: those before it have written to the same log. @param before bytes */
function saidSince(before: number, path: string): string {
  try {
    return readFileSync(path).subarray(before).toString('utf8').slice(-SHOWN_LOG).trim();
  } catch {
    return `see ${path}`;
  }
}
