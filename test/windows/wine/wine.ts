import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { findInPath } from '../../../src/provision/find-in-path.ts';

/** A Wine of this machine. */
export interface WineProgram {
  /** The 64-bit loader itself: the script `wine` of some distributions looks for a 32-bit one first. */
  readonly loader: string;
  /** The server that belongs to it. */
  readonly server: string;
  /** `'8.0'`. Prefixes are not shared between versions. */
  readonly version: string;
}

/** A Wine with a prefix, its drive C. */
export interface Wine extends WineProgram {
  readonly prefix: string;
}

const LOADERS = ['/usr/lib/wine/wine64', '/usr/lib64/wine/wine64'];

/** The installed Wine, or undefined. */
export function findWine(): WineProgram | undefined {
  const loader =
    LOADERS.find((file) => existsSync(file)) ?? findInPath('wine64') ?? findInPath('wine');
  if (loader === undefined) return undefined;
  const server = join(loader, '..', 'wineserver64');
  return describeWine(loader, existsSync(server) ? server : 'wineserver');
}

/** The Wine with this loader and server, or undefined where it does not start. */
export function describeWine(loader: string, server: string): WineProgram | undefined {
  const { stdout } = spawnSync(loader, ['--version'], { encoding: 'utf8' });
  const version = /wine-(\d+(?:\.\d+)*)/.exec(stdout ?? '')?.[1];
  return version === undefined ? undefined : { loader, server, version };
}

/** The environment of a program under Wine: no display, nothing of the Node that started it. */
export function wineEnvironment(prefix: string): NodeJS.ProcessEnv {
  const env = { ...process.env };
  for (const name of ['DISPLAY', 'WAYLAND_DISPLAY', 'NODE_EXTRA_CA_CERTS', 'NODE_OPTIONS']) {
    delete env[name];
  }
  // Neither .NET nor a browser is wanted in the prefix, and no dialog that offers them; nor a debugger, for which a program
  // that crashes waits, for ever when it hangs.
  return {
    HDVKIT_LOAD_LIMIT: '180',
    ...env,
    WINEPREFIX: prefix,
    WINEDEBUG: '-all',
    WINEDLLOVERRIDES: 'mscoree=;mshtml=;winedbg.exe=',
  };
}

/** How {@link runWine} runs a program. */
export interface WineRun {
  /** Receives what the program prints, both streams: a pipe would make Node's console throw EBADF. */
  readonly output: string;
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** In milliseconds; the program is killed after it, or after as long without growth of {@link growing}. */
  readonly timeLimit: number;
  /** A file that the program writes as it gets on. */
  readonly growing?: string;
}

/** How a program under Wine ended. The code alone proves nothing: a crash under Wine 8 may end with 0. */
export interface WineExit {
  readonly code: number | null;
  readonly timedOut: boolean;
}

/** Runs a Windows program to its end, with an empty standard input. */
export function runWine(wine: Wine, args: readonly string[], run: WineRun): Promise<WineExit> {
  const output = openSync(run.output, 'w');
  return new Promise((resolve, reject) => {
    const child = spawn(wine.loader, args, {
      cwd: run.cwd,
      env: { ...wineEnvironment(wine.prefix), ...run.environment },
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    let timedOut = false;
    let size = 0;
    const look = (): void => {
      const now = sizeOf(run.growing);
      timedOut = now === size;
      size = now;
      if (timedOut) child.kill('SIGKILL');
      else limit = setTimeout(look, run.timeLimit);
    };
    let limit = setTimeout(look, run.timeLimit);
    child.on('error', (error) => {
      clearTimeout(limit);
      reject(error);
    });
    // Not 'close': what the program has started may keep the file open.
    child.on('exit', (code) => {
      clearTimeout(limit);
      resolve({ code, timedOut });
    });
  });
}

function sizeOf(file: string | undefined): number {
  return file === undefined ? 0 : (statSync(file, { throwIfNoEntry: false })?.size ?? 0);
}

/** Ends everything that runs in this prefix, and waits for it; other prefixes are left alone. */
export function endWine({ server, prefix }: Wine): void {
  const env = wineEnvironment(prefix);
  spawnSync(server, ['-k'], { env, stdio: 'ignore' });
  spawnSync(server, ['-w'], { env, stdio: 'ignore', timeout: 10_000 });
}

/** Ends everything in this prefix also when this process is told to end. What kill -9 leaves is for the next run. */
export function endWineWithProcess(wine: Wine): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      endWine(wine);
      process.kill(process.pid, signal);
    });
  }
}

/** How Windows programs under Wine name a file of this machine. */
export function windowsPath(path: string): string {
  return `Z:${path.replaceAll('/', '\\')}`;
}
