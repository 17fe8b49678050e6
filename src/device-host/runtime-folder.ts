import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Longest path of a Unix socket, in bytes; the names in the folder are short. */
const MAX_FOLDER_PATH = 80;

/** Waits until its standard input ends, which it does when this process is gone for any reason, and removes the folder. */
const REAPER = 'trap "" HUP INT TERM; while read -r line; do :; done; rm -rf -- "$1"';

/**
 * A private folder (mode 0700) for sockets, with a path short enough for them. It goes when {@link RuntimeFolder.remove}
 * is called, and also when the process ends without that, even by SIGKILL: a small process waits for the end.
 */
export class RuntimeFolder {
  readonly path: string;
  readonly #reaper: ChildProcess;
  #next = 1;

  private constructor(path: string, reaper: ChildProcess) {
    this.path = path;
    this.#reaper = reaper;
  }

  /** Makes the folder below the system's folder for temporary files. */
  static create(): RuntimeFolder {
    const parent = Buffer.byteLength(tmpdir()) <= MAX_FOLDER_PATH ? tmpdir() : '/tmp';
    const path = mkdtempSync(join(parent, 'hdv-'));
    const reaper = spawn('/bin/sh', ['-c', REAPER, 'hdvkit-reaper', path], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    // Without it the folder still goes by remove(); only a crash would leave it behind.
    reaper.on('error', () => undefined);
    reaper.stdin!.on('error', () => undefined);
    reaper.unref();
    (reaper.stdin as unknown as { unref(): void }).unref();
    return new RuntimeFolder(path, reaper);
  }

  /** A path in the folder that was not given out before. */
  fresh(suffix: string): string {
    return join(this.path, `${this.#next++}${suffix}`);
  }

  /** Removes the folder with all that is in it, and resolves when the process that watched it has ended. */
  async remove(): Promise<void> {
    rmSync(this.path, { recursive: true, force: true });
    const reaper = this.#reaper;
    if (reaper.pid === undefined || reaper.exitCode !== null || reaper.signalCode !== null) return;
    const gone = new Promise((resolve) => reaper.once('exit', resolve));
    reaper.ref();
    reaper.stdin!.end();
    await gone;
  }
}
