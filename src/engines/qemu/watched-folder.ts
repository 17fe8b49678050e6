import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OwnedResources } from '../../compute/owned-resources.ts';

/** A unix socket's path has at most 107 bytes (unix(7)); names in the folder are short. */
const LONGEST_FOLDER = 80;
/** How the names of folders begin whose machines outlive their owner. */
const KEPT = 'hdvk-';

/**
 * What the name of a folder elsewhere begins with that a machine makes. No other is removed with what is in it: whoever may
 * change the folders above can have put one of theirs in the place of a file.
 */
export const FOLDER_ELSEWHERE = '.hdvkit-';

/**
 * Reads lines until its input ends, as it does when the owner is gone for whatever reason. +ID is a process (a negative
 * number: a group of them) to be killed then, -ID says that it has ended, /PATH is a file to remove, !/PATH one to keep.
 */
const WATCH = `trap "" HUP INT TERM
folder=$1
shift
ids=
while IFS= read -r line; do
  case "$line" in
    /*) set -- "$@" "$line" ;;
    !*)
      left=$#
      while [ "$left" -gt 0 ]; do
        [ "$1" = "\${line#!}" ] || set -- "$@" "$1"
        shift
        left=$((left - 1))
      done ;;
    +*) ids="$ids \${line#+}" ;;
    -*)
      left=
      for id in $ids; do [ "$id" = "\${line#-}" ] || left="$left $id"; done
      ids=$left ;;
  esac
done
for id in $ids; do kill -9 "$id"; done
rm -rf -- "$folder"
for path; do
  case "\${path##*/}" in
    ${FOLDER_ELSEWHERE}*) rm -rf -- "$path" ;;
    *) rm -f -- "$path" ;;
  esac
done`;

/**
 * A private folder (mode 0700) of one virtual machine, and a small process that, when this process ends without having
 * called {@link WatchedFolder.remove}, even by SIGKILL, kills the machine's processes and removes the folder. For a machine
 * that outlives its owner there is no such process, and all of it stays; what it owns elsewhere is noted, for the next owner.
 */
export class WatchedFolder {
  readonly path: string;
  /** Where it is noted what a machine that outlives this process owns elsewhere, if it is. */
  readonly owned: OwnedResources | undefined;
  readonly #watch: ChildProcess | undefined;

  private constructor(
    path: string,
    watch: ChildProcess | undefined,
    owned: OwnedResources | undefined,
  ) {
    this.path = path;
    this.#watch = watch;
    this.owned = owned;
  }

  /** Makes the folder below XDG_RUNTIME_DIR or the folder for temporary files, whichever is short enough. */
  static create(): WatchedFolder {
    const path = create(usualParent());
    const watch = spawn('/bin/sh', ['-c', WATCH, 'hdvkit-watch', path], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    watch.on('error', () => undefined);
    watch.stdin!.on('error', () => undefined);
    watch.unref();
    (watch.stdin as unknown as { unref(): void }).unref();
    return new WatchedFolder(path, watch, undefined);
  }

  /**
   * Makes the folder of a machine that outlives this process.
   * @param parent an absolute path of at most 80 bytes without commas; it is made, for its owner alone, when it is not there
   */
  static kept(parent = usualParent(), owned?: OwnedResources): WatchedFolder {
    if (!isUsable(parent)) {
      throw new Error(
        `Cannot keep sockets in "${parent}": use an absolute path of at most ${LONGEST_FOLDER} bytes without commas and line breaks`,
      );
    }
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    return new WatchedFolder(mkdtempSync(join(parent, KEPT)), undefined, owned);
  }

  /** The folder of a machine that has outlived its owner. */
  static adopt(path: string, owned?: OwnedResources): WatchedFolder {
    return new WatchedFolder(path, undefined, owned);
  }

  /** Folders of machines that outlive their owners. */
  static allKept(parent: string): string[] {
    if (!existsSync(parent)) return [];
    const names = readdirSync(parent).filter((name) => name.startsWith(KEPT));
    return names.map((name) => join(parent, name));
  }

  /** Whether the machine goes on when this process ends. */
  get outlives(): boolean {
    return this.#watch === undefined;
  }

  /** The path of a file in the folder. */
  file(name: string): string {
    return join(this.path, name);
  }

  /** A process that must not outlive this one; with a negative number a whole group, as for kill(2). */
  watchProcess(pid: number): void {
    this.#tell(`+${pid}`);
  }

  /**
   * A file or folder elsewhere, by absolute path, that must not outlive this process, or that ends with a machine which does.
   * Called before it is made.
   */
  watchFile(path: string): void {
    this.owned?.add({ kind: 'file', name: path });
    if (!path.includes('\n')) this.#tell(path);
  }

  /** A watched file is no more, or is to stay. */
  leaveFile(path: string): void {
    this.owned?.remove({ kind: 'file', name: path });
    if (!path.includes('\n')) this.#tell(`!${path}`);
  }

  /** A watched process has ended: its id may come to belong to another. */
  processEnded(pid: number): void {
    this.#tell(`-${pid}`);
  }

  /** Removes the folder and resolves when the watching process has ended. */
  async remove(): Promise<void> {
    rmSync(this.path, { recursive: true, force: true });
    const watch = this.#watch;
    if (watch?.pid === undefined || watch.exitCode !== null || watch.signalCode !== null) return;
    const gone = new Promise((resolve) => watch.once('exit', resolve));
    watch.ref();
    watch.stdin!.end();
    await gone;
  }

  #tell(line: string): void {
    this.#watch?.stdin?.write(`${line}\n`);
  }
}

/** Where folders are when nothing else is said. */
function usualParent(): string {
  const parents = [process.env.XDG_RUNTIME_DIR, tmpdir()];
  return parents.find(isUsable) ?? '/tmp';
}

/** Programs beside QEMU take a comma for the end of a path, and what watches the folder a line break. */
function isUsable(folder: string | undefined): folder is string {
  if (folder?.startsWith('/') !== true || /[,\n]/.test(folder)) return false;
  return Buffer.byteLength(folder) <= LONGEST_FOLDER;
}

function create(parent: string): string {
  try {
    return mkdtempSync(join(parent, 'hdvq-'));
  } catch (error) {
    if (parent === '/tmp') throw error;
    return create('/tmp');
  }
}
