import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Peer } from './peer.ts';

/** One call of the service, as far as it is recorded: no document, which may have secrets in it. */
export interface AuditEntry {
  readonly peer: Pick<Peer, 'pid' | 'uid' | 'gid'> & Partial<Pick<Peer, 'program'>>;
  /** `'HcsStartComputeSystem'`. */
  readonly function: string;
  /** The system that it was for. */
  readonly system?: { readonly space: string; readonly id: string } | undefined;
  /** HRESULT, unsigned. */
  readonly result: number;
  /** Milliseconds that it took. */
  readonly took?: number | undefined;
}

/** How an {@link AuditLog} is kept. */
export interface AuditLogOptions {
  /** Bytes from which on a new file is begun; 16 MiB. */
  readonly size?: number | undefined;
  /** Older files that are kept, as `PATH.1` (the newest) and so on; 5. */
  readonly files?: number | undefined;
  /** Told when lines begin to be lost, and when writing goes on. */
  readonly warn?: ((message: string) => void) | undefined;
}

/** Lines that wait for the disk; more are counted and lost, so that the service goes on. */
const MOST_WAITING = 10_000;
/** Characters of a name that whoever calls has chosen. */
const LONGEST_NAME = 256;
const DEFAULT_SIZE = 16 * 1024 * 1024;
const DEFAULT_FILES = 5;

/**
 * A record of who did what: a JSON object in each line, for its owner alone (mode 0600).
 *
 * | Field             | Content                                                |
 * | ----------------- | ------------------------------------------------------ |
 * | `time`            | when it ended, ISO 8601, UTC                           |
 * | `uid` `gid` `pid` | who called, as the kernel says                         |
 * | `program`         | what that process ran                                  |
 * | `function`        | name of the function                                   |
 * | `space` `system`  | what it was for, where there is one                    |
 * | `result`          | HRESULT as `0x00000000`                                |
 * | `took`            | milliseconds                                           |
 * | `lost`            | alone with `time`: so many lines before it are missing |
 *
 * Nothing here throws or keeps anybody waiting: lines are written in turn, in the background, and a disk that takes none
 * costs lines and not calls. A line is whole or not there.
 */
export class AuditLog {
  readonly #path: string;
  readonly #size: number;
  readonly #files: number;
  readonly #warn: (message: string) => void;
  #waiting: string[] = [];
  #lost = 0;
  #isFailing = false;
  #writing: Promise<void> | undefined;

  constructor(path: string, options: AuditLogOptions = {}) {
    this.#path = path;
    this.#size = options.size ?? DEFAULT_SIZE;
    this.#files = options.files ?? DEFAULT_FILES;
    this.#warn = options.warn ?? (() => {});
  }

  /** Records a call that has ended. */
  record({ peer, function: name, system, result, took }: AuditEntry): void {
    if (this.#waiting.length >= MOST_WAITING) {
      this.#lost++;
      return;
    }
    this.#waiting.push(
      line({
        uid: peer.uid,
        gid: peer.gid,
        pid: peer.pid,
        program: shorten(peer.program),
        function: name,
        space: shorten(system?.space),
        system: shorten(system?.id),
        result: `0x${result.toString(16).padStart(8, '0')}`,
        took,
      }),
    );
    this.#write();
  }

  /** Resolves when all that was recorded so far is written or lost. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  #write(): void {
    if (this.#writing !== undefined) return;
    this.#writing = this.#writeWaiting().finally(() => {
      this.#writing = undefined;
      if (this.#waiting.length > 0) this.#write();
    });
  }

  async #writeWaiting(): Promise<void> {
    // What comes in the same turn of the event loop goes to the disk together.
    await new Promise((resolve) => setImmediate(resolve));
    const lines = this.#waiting;
    this.#waiting = [];
    const lost = this.#lost;
    try {
      await this.#append([...(lost === 0 ? [] : [line({ lost })]), ...lines].join(''));
      this.#lost -= lost;
      if (this.#isFailing)
        this.#warn(`The audit log ${this.#path} goes on: ${lost} lines are lost`);
      this.#isFailing = false;
    } catch (error) {
      this.#lost += lines.length;
      if (this.#isFailing) return;
      this.#isFailing = true;
      this.#warn(
        `Cannot write the audit log ${this.#path}: ${(error as Error).message}; lines are lost`,
      );
    }
  }

  async #append(text: string): Promise<void> {
    let file = await this.#open();
    try {
      const { size } = await file.stat();
      if (size > 0 && size + Buffer.byteLength(text) > this.#size) {
        await file.close();
        await this.#rotate();
        file = await this.#open();
      }
      await appendWhole(file, text);
    } finally {
      await file.close();
    }
  }

  async #open(): Promise<FileHandle> {
    const flags = constants.O_APPEND | constants.O_CREAT | constants.O_RDWR | constants.O_NOFOLLOW;
    try {
      return await open(this.#path, flags, 0o600);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
      return await open(this.#path, flags, 0o600);
    }
  }

  async #rotate(): Promise<void> {
    if (this.#files === 0) return await rm(this.#path, { force: true });
    for (let number = this.#files; number > 0; number--) {
      const from = number === 1 ? this.#path : `${this.#path}.${number - 1}`;
      try {
        await rename(from, `${this.#path}.${number}`);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
  }
}

/** Appends all of a text, or nothing, as when the disk is full in the middle of it. */
async function appendWhole(file: FileHandle, text: string): Promise<void> {
  const { size } = await file.stat();
  try {
    await file.appendFile(text);
  } catch (error) {
    await file.truncate(size).catch(() => undefined);
    throw error;
  }
}

function line(fields: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify({ time: new Date().toISOString(), ...fields })}\n`;
}

function shorten(text: string | undefined): string | undefined {
  return text === undefined || text.length <= LONGEST_NAME
    ? text
    : `${text.slice(0, LONGEST_NAME)}…`;
}
