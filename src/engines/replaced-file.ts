import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { fileFailure } from '../compute/file-failure.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT, type HresultName } from '../hcs/hresult.ts';

const NAME = 'HcsSaveComputeSystem';

/**
 * Writes a file that a machine is saved to, or what is left of its guest. What the path had before stays until the new file is whole and on the disk;
 * after a failure nothing new is left.
 * @param watch is told of that file before it is there, and when it is no more
 * @param write fills a file of another name in the same folder, which is there and empty, and sees to it that all of it is
 * on the disk
 * @param at where options or document name the path
 * @throws HcsError for a path that is not absolute, or where no file can be made, and for what `write` throws
 */
export async function replaceFile(
  path: string,
  watch: { watchFile(path: string): void; leaveFile(path: string): void } | undefined,
  write: (part: string) => Promise<void>,
  at = '$.SaveStateFilePath',
): Promise<void> {
  checkPath(path, at);
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
    throw fileFailure(NAME, path, error, at);
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

function checkPath(path: string, at: string): void {
  if (!isAbsolute(path)) {
    throw failure('E_INVALIDARG', `${at} is "${path}": use an absolute path`);
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw failure('ERROR_FILE_EXISTS', `${at} is "${path}", which is a folder`);
  }
}

function failure(code: HresultName, message: string): HcsError {
  return new HcsError({ function: NAME, hresult: HRESULT[code], message });
}
