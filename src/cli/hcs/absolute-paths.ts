import { isAbsolute, resolve } from 'node:path';
import type { ComputeSystem } from '../../hcs/schema/documents.ts';

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
]);

/**
 * The document with the paths as they are meant where it was given: the service is another process, in another folder.
 * A path in the guest, which begins with a slash, stays as it is; so do names of pipes of Windows.
 */
export function withAbsolutePaths(document: ComputeSystem, folder = process.cwd()): ComputeSystem {
  return absolute(document, folder) as ComputeSystem;
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
  return path !== '' && !isAbsolute(path) && !path.startsWith('\\');
}
