import { lstatSync, statSync } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { copyList } from '../../ffi/posix-acl.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import { replaceFile, syncFile } from '../replaced-file.ts';
import { STREAM_OFFSET } from '../saved-state-head.ts';
import type { QemuProcess } from './qemu-process.ts';
import { type Make, savedMachine, writeState } from './save.ts';
import { copySaved, readSavedState, sealSavedState } from './saved-state.ts';
import type { WatchedFolder } from './watched-folder.ts';

/** A file that a machine is being saved to, or was, as another process finds it: a plain object, which goes through JSON. */
export interface LastSaveRecord {
  readonly path: string;
  /** Its name until it is whole. */
  readonly part: string;
  /** What tells it from another file of the same name. */
  readonly identity: string;
}

/** What the last save since a machine was stopped has written, for the next one: QEMU writes it once. */
export class LastSave {
  /** Called when {@link record} has changed. */
  onChange: () => void = () => {};
  #file: FileHandle | undefined;
  #record: LastSaveRecord | undefined;

  /** What another process needs to go on with it. */
  get record(): LastSaveRecord | undefined {
    return this.#record;
  }

  /** A machine that runs again is another one. */
  async forget(): Promise<void> {
    this.#record = undefined;
    await this.release();
  }

  /** Leaves the file to another process. */
  async release(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  /**
   * Saves a stopped machine to a file. What the file had before stays until the new state is whole and on the disk;
   * after a failure nothing new is left, nor when this process ends meanwhile.
   * @param folder the machine's, which knows what has to be removed then
   * @throws HcsError for a path that is not absolute, or where no file can be made
   */
  async toFile(
    qemu: QemuProcess,
    folder: WatchedFolder,
    make: Make,
    path: string,
    signal?: AbortSignal,
  ): Promise<void> {
    const before = this.#record;
    try {
      await replaceFile(path, folder, async (part) => {
        const record = { path, part, identity: identityOf(part)! };
        if (this.#file === undefined) {
          await this.#requireUnsaved(qemu);
          // Once QEMU has written it there is no other: whoever takes the machine over then puts it in place.
          this.#note(record);
          await writeFirst(qemu, make, part, signal);
        } else {
          await copySaved(this.#file, part);
        }
        if (qemu.files.account !== undefined) keepGrants(path, part);
        const file = await open(part, 'r');
        await this.release();
        this.#file = file;
        this.#note(record);
      });
    } catch (error) {
      // A file that is whole already is what there is, even where it did not get to its place.
      if (this.#file === undefined) this.#note(before);
      throw error;
    }
  }

  /**
   * Goes on where another process has ended: a save of which QEMU has written all is finished, any other leaves nothing.
   * @param makeOf asks for what is kept with the state
   */
  async adopt(
    record: LastSaveRecord | undefined,
    qemu: QemuProcess,
    folder: WatchedFolder,
    makeOf: () => Promise<Make>,
  ): Promise<void> {
    if (record === undefined || !(await isSaved(qemu))) return;
    const { path, part, identity } = record;
    this.#record = record;
    if (identityOf(path) !== identity) {
      if (identityOf(part) !== identity) return; // Somebody has removed it: the next save says so.
      const isWhole = await readSavedState(part).then(
        () => true,
        () => false,
      );
      if (!isWhole) await sealSavedState(part, await savedMachine(qemu, await makeOf()));
      if (qemu.files.account !== undefined) keepGrants(path, part);
      await rename(part, path);
      await syncFile(dirname(path));
      folder.leaveFile(part);
    }
    this.#file = await open(path, 'r');
  }

  #note(record: LastSaveRecord | undefined): void {
    this.#record = record;
    this.onChange();
  }

  /** @throws HcsError where QEMU has written the state already, and the file is gone */
  async #requireUnsaved(qemu: QemuProcess): Promise<void> {
    if (!(await isSaved(qemu))) return;
    const where = this.#record === undefined ? '' : ` to ${this.#record.path}`;
    throw new HcsError({
      function: 'HcsSaveComputeSystem',
      hresult: HRESULT.ERROR_FILE_NOT_FOUND,
      message: `Cannot save the machine as it was saved${where} since it was paused, and that file was removed while the service was started anew: resume it, pause it, and save it then`,
    });
  }
}

/** Whether QEMU has written its state, which it does once until it runs again. */
async function isSaved({ qmp }: QemuProcess): Promise<boolean> {
  const { status } = (await qmp.execute('query-status')) as { readonly status: string };
  return status === 'postmigrate';
}

async function writeFirst(
  qemu: QemuProcess,
  make: Make,
  part: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const machine = await savedMachine(qemu, make);
  const out = await qemu.files.lendForWriting(qemu.qmp, part);
  try {
    await writeState(qemu, make, `file:${out.name},offset=${STREAM_OFFSET}`, false, signal);
  } finally {
    await out.back();
  }
  await sealSavedState(part, machine);
}

/** Undefined for no file. */
function identityOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found?.isFile() === true ? `${found.dev}:${found.ino}` : undefined;
}

/** Who was granted the file that was there is granted the one in its place. */
function keepGrants(path: string, part: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() !== true) return;
  copyList(path, part, 'access');
}
