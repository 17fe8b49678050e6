import { isAbsolute, resolve } from 'node:path';

/** Fields of documents that name a file or a folder of the host, wherever they stand. */
const FIELDS: ReadonlySet<string> = new Set([
  'BugcheckNoCrashdumpSavedStateFileName',
  'BugcheckSavedStateFileName',
  'DumpFileName',
  'FirmwareDumpFileName',
  'GuestStateFilePath',
  'HostPath',
  'ImagePath',
  'InitRdPath',
  'KernelFilePath',
  'NamedPipe',
  'Path',
  'RuntimeStateFilePath',
  'SaveStateFilePath',
  'ShutdownOrResetSavedStateFileName',
  'TripleFaultSavedStateFileName',
  'VmbFsRootPath',
]);

/**
 * The document with the paths as they are meant where it was given: the service is in a folder of its own, and takes absolute
 * ones only. A path in the guest, which begins with a slash, stays as it is; so do paths and names of pipes of Windows.
 */
export function withAbsolutePaths<T extends object>(document: T, folder = process.cwd()): T {
  return absolute(document, folder) as T;
}

function absolute(value: unknown, folder: string): unknown {
  if (Array.isArray(value)) return value.map((each) => absolute(each, folder));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [
      key,
      typeof each === 'string' && FIELDS.has(key) && isRelative(each)
        ? resolve(folder, each)
        : absolute(each, folder),
    ]),
  );
}

function isRelative(path: string): boolean {
  return path !== '' && !isAbsolute(path) && !/^(?:\\|[A-Za-z]:[\\/])/.test(path);
}
