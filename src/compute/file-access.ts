import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import type { HresultName } from '../hcs/hresult.ts';
import { failure } from './failure.ts';

const codes: Readonly<Record<string, HresultName>> = {
  ENOENT: 'ERROR_FILE_NOT_FOUND',
  ENOTDIR: 'ERROR_PATH_NOT_FOUND',
  EACCES: 'E_ACCESSDENIED',
  EPERM: 'E_ACCESSDENIED',
};

/**
 * What granting access comes to where engines run with the rights of their caller: the file must be there, and for a
 * grant the caller must be able to read it. Nothing is changed on disk.
 * @throws HcsError ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND, E_ACCESSDENIED, E_INVALIDARG
 */
export async function checkFileAccess(
  name: string,
  filePath: string,
  mode: 'exists' | 'readable',
): Promise<void> {
  if (typeof filePath !== 'string' || filePath === '') {
    throw failure(name, 'E_INVALIDARG', 'the file path is empty');
  }
  try {
    await access(filePath, mode === 'readable' ? constants.R_OK : constants.F_OK);
  } catch (cause) {
    const { code = '', message } = cause as NodeJS.ErrnoException;
    throw failure(name, codes[code] ?? 'E_FAIL', message, undefined, cause);
  }
}
