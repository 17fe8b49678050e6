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
import { delimiter, dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultStateFolder } from '../compute/state-folder.ts';
import { connectionFailure } from './connection-failure.ts';
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
  const logFile = logPath(socket);
  const log = openLog(logFile);
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
    {
      cwd: '/',
      env: daemonEnvironment(process.env),
      detached: true,
      stdio: ['ignore', 'pipe', log],
    },
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
            new Error(`it ended with ${signal ?? `code ${code}`}: ${saidSince(before, logFile)}`),
          );
      });
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const what = `a service could not be started: ${reason}`;
    const remedy = `its log is ${logFile}`;
    throw connectionFailure('HCS_E_SERVICE_NOT_AVAILABLE', what, remedy, error);
  } finally {
    child.stdout?.destroy();
    child.removeAllListeners();
    child.unref();
  }
}

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;

/** Variables that name a file or a folder. */
const PATHS = ['HDVKIT_CACHE', 'HDVKIT_STATE', 'HDVKIT_SOCKET', 'XDG_RUNTIME_DIR'] as const;

/** Variables that name a program: by a path, or to be found in PATH. */
const PROGRAMS = ['HDVKIT_QEMU', 'HDVKIT_CRASH_HOOK'] as const;

/** The environment for a daemon, which does not run in the folder that relative paths of this process begin at. */
export function daemonEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const there = { ...environment };
  const whole = (path: string): string => (path === '' ? path : resolve(path));
  for (const name of PATHS) {
    const path = environment[name];
    if (path !== undefined) there[name] = whole(path);
  }
  for (const name of PROGRAMS) {
    const program = environment[name];
    if (program?.includes('/')) there[name] = whole(program);
  }
  const { PATH } = environment;
  if (PATH !== undefined) there.PATH = PATH.split(delimiter).map(whole).join(delimiter);
  return there;
}

/** Where a daemon that was started on demand writes what it says. */
export function logPath(socket: string): string {
  return `${resolve(socket)}.log`;
}

/** Opens the log, in the folder of the socket, which may have to be made. Others may have put a link there. */
function openLog(path: string): number {
  try {
    makeFolder(dirname(path));
    const size = lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size > LONGEST_LOG) renameSync(path, `${path}.1`);
    return openSync(path, O_APPEND | O_CREAT | O_WRONLY | (O_NOFOLLOW ?? 0), 0o600);
  } catch (error) {
    const what = `no service can listen in the folder ${dirname(path)}: ${(error as Error).message}`;
    const remedy = 'name another socket by HDVKIT_SOCKET, or make the folder yours';
    throw connectionFailure('HCS_E_SERVICE_NOT_AVAILABLE', what, remedy, error);
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
