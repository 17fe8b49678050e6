import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { fileFailure } from '../compute/file-failure.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT, type HresultName } from '../hcs/hresult.ts';

/** What a file is written for. */
export interface ReplacedFor {
  /** Function that fails where it cannot be written. */
  readonly function: string;
  /** Where options or document name the path. */
  readonly at: string;
}

const SAVE: ReplacedFor = { function: 'HcsSaveComputeSystem', at: '$.SaveStateFilePath' };

/**
 * Writes a file that a machine is saved to, or what is left of its guest. What the path had before stays until the new file is whole and on the disk;
 * after a failure nothing new is left.
 * @param watch is told of that file before it is there, and when it is no more
 * @param write fills a file of another name in the same folder, which is there and empty, and sees to it that all of it is
 * on the disk
 * @throws HcsError for a path that is not absolute, or where no file can be made, and for what `write` throws
 */
export async function replaceFile(
  path: string,
  watch: { watchFile(path: string): void; leaveFile(path: string): void } | undefined,
  write: (part: string) => Promise<void>,
  reason = SAVE,
): Promise<void> {
  checkPath(path, reason);
  const part = join(dirname(path), `.${basename(path)}.${randomUUID()}`);
  watch?.watchFile(part);
  try {
    // Apart from the writing, so that nothing is removed that was not made here.
    await (await open(part, 'wx', 0o600)).close();
    try {
      await write(part);
      await rename(part, path);
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
  } catch (error) {
    throw fileFailure(reason.function, path, error, reason.at);
  } finally {
    watch?.leaveFile(part);
  }
  // Windows knows no such thing of a folder.
  if (process.platform !== 'win32') await syncFile(dirname(path));
}

/** Sees to it that a file, or the names in a folder, are on the disk. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function checkPath(path: string, { function: name, at }: ReplacedFor): void {
  if (!isAbsolute(path)) {
    throw failure(name, 'E_INVALIDARG', `${at} is "${path}": use an absolute path`);
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw failure(name, 'ERROR_FILE_EXISTS', `${at} is "${path}", which is a folder`);
  }
}

function failure(name: string, code: HresultName, message: string): HcsError {
  return new HcsError({ function: name, hresult: HRESULT[code], message });
}
