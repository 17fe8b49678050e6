import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { FileFunctions } from './file-functions.ts';
import { checkSystemId, runtimeIdOf } from './system-id.ts';
import type { SystemJournal } from './system-journal.ts';

/** Name of the part of the service that is kept: paths by runtime id. */
const PART = 'grants';

/** What was granted to a system's machine. */
interface Noted {
  /** The system's id as it was given. */
  readonly id: string;
  /** Who of those that are there has asked for a file, by its path without links. */
  readonly paths: Map<string, Set<object>>;
}

/** What a {@link SystemGrants} is made of. */
export interface SystemGrantsOptions {
  readonly files: FileFunctions;
  /** Whether a system of that runtime id is there, or being created. */
  readonly isThere: (runtimeId: string) => boolean;
  readonly journal?: SystemJournal | undefined;
}

/**
 * Files that machines may open until their systems are no more, as a list of access has no room for every machine that ever
 * was. Each is noted before it is granted, so that another service takes it back when this one cannot. Files that a machine
 * was granted otherwise (HcsGrantVmAccess) are none of these, and stay granted.
 */
export class SystemGrants {
  readonly #files: FileFunctions;
  readonly #isThere: SystemGrantsOptions['isThere'];
  readonly #journal: SystemJournal | undefined;
  /** By runtime id. */
  readonly #noted = new Map<string, Noted>();
  /**
   * What is being done with a machine's files, by runtime id. One thing follows the other, so that none is taken back that was
   * granted meanwhile, and none granted that nobody would take back.
   */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor({ files, isThere, journal }: SystemGrantsOptions) {
    this.#files = files;
    this.#isThere = isThere;
    this.#journal = journal;
    const kept = (journal?.setting(PART) ?? {}) as Readonly<Record<string, readonly string[]>>;
    for (const [id, paths] of Object.entries(kept)) {
      const held = paths.map((path) => [path, new Set<object>()] as const);
      this.#noted.set(runtimeIdOf(id), { id, paths: new Map(held) });
    }
  }

  /**
   * Grants a file to the machine of a system, which need not be there yet.
   * @param holder who asks for it; see {@link release}
   * @throws HcsError as HcsGrantVmAccess; E_FAIL when it cannot be noted
   */
  async grant(id: string, path: string, holder: object = this): Promise<void> {
    checkSystemId('HcsGrantVmAccess', id, 'vmId');
    const key = runtimeIdOf(id);
    await this.#inTurn(key, async () => {
      const real = await realPathOf(path);
      const isGranted = await this.#files.isGranted(id, path);
      const noted: Noted = this.#noted.get(key) ?? { id, paths: new Map() };
      const holders = noted.paths.get(real);
      holders?.add(holder);
      // What another one has granted for good is not to be taken back.
      if (isGranted) return;
      this.#noted.set(key, noted);
      if (holders === undefined) noted.paths.set(real, new Set([holder]));
      try {
        this.#keep('HcsGrantVmAccess');
        await this.#files.HcsGrantVmAccess(id, path);
      } catch (error) {
        if (holders === undefined) this.#forget(key, real);
        throw error;
      }
    });
  }

  /**
   * Grants a file for good, or revokes it: it is none of these any more.
   * @throws HcsError as that function
   */
  async changeForGood(
    name: 'HcsGrantVmAccess' | 'HcsRevokeVmAccess',
    id: string,
    path: string,
  ): Promise<void> {
    checkSystemId(name, id, 'vmId');
    const key = runtimeIdOf(id);
    await this.#inTurn(key, async () => {
      const real = await realPathOf(path);
      await this.#files[name](id, path);
      this.#forget(key, real);
    });
  }

  /** Takes back what was granted to a system, unless there is one. Never throws. */
  revoke(runtimeId: string): Promise<void> {
    return this.#revoke(runtimeId, () => true);
  }

  /**
   * Takes back what only this holder has asked for, unless the system is there: others may be about to create it. Never
   * throws.
   */
  release(runtimeId: string, holder: object = this): Promise<void> {
    return this.#revoke(runtimeId, (holders) => holders.delete(holder) && holders.size === 0);
  }

  #revoke(runtimeId: string, isOver: (holders: Set<object>) => boolean): Promise<void> {
    return this.#inTurn(runtimeId, async () => {
      const noted = this.#noted.get(runtimeId);
      if (noted === undefined) return;
      const over = [...noted.paths].filter(([, holders]) => isOver(holders));
      if (this.#isThere(runtimeId)) return;
      for (const [path] of over) {
        // A file that is gone has no list any more.
        await this.#files.HcsRevokeVmAccess(noted.id, path).catch(() => undefined);
        this.#forget(runtimeId, path);
      }
    });
  }

  /** Takes back what was granted to systems that are no more. Called when another service's were taken over. */
  async revokeOrphaned(): Promise<void> {
    await Promise.all([...this.#noted.keys()].map((runtimeId) => this.revoke(runtimeId)));
  }

  /** Resolves when nothing is being granted or taken back any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#turns.values());
  }

  #inTurn(key: string, work: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(key) ?? Promise.resolve()).then(work);
    const over = turn
      .catch(() => undefined)
      .then(() => {
        if (this.#turns.get(key) === over) this.#turns.delete(key);
      });
    this.#turns.set(key, over);
    return turn;
  }

  #forget(key: string, path: string): void {
    const noted = this.#noted.get(key);
    if (noted?.paths.delete(path) !== true) return;
    if (noted.paths.size === 0) this.#noted.delete(key);
    try {
      this.#keep('HcsRevokeVmAccess');
    } catch {
      // It is kept with the next change; to take something back twice is as once.
    }
  }

  #keep(name: string): void {
    const kept = [...this.#noted.values()].map(({ id, paths }) => [id, [...paths.keys()]] as const);
    this.#journal?.keepSetting(name, PART, Object.fromEntries(kept));
  }
}

/** One file has one path, however it was written. What is not there has none. */
async function realPathOf(path: string): Promise<string> {
  if (typeof path !== 'string') return path;
  return await realpath(path).catch(() => resolve(path));
}
