import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { systemLibrary } from '../../ffi/windows-system.ts';
import { runTool } from '../../provision/run-tool.ts';
import {
  FEATURE_QUERY,
  type Membership,
  parseFeatures,
  parseGroups,
  parseServiceState,
  type ServiceState,
  type SystemFeatures,
} from './command-output.ts';
import { type PeFile, readPeFile } from './pe-file.ts';

/** What this Windows is and has. What could not be found out is undefined. */
export interface WindowsFacts {
  readonly architecture: string;
  /** `'10.0.22631'`. */
  readonly version: string;
  readonly system: SystemFeatures | undefined;
  /** Of the Host Compute Service, `vmcompute`. */
  readonly service: ServiceState | undefined;
  readonly membership: Membership | undefined;
  readonly libraries: readonly LibraryFacts[];
}

/** One library of the contracts. */
export interface LibraryFacts {
  /** `'computecore.dll'`. */
  readonly name: string;
  readonly path: string;
  /** What the file says; an error where it cannot be read; undefined where there is none. */
  readonly file: PeFile | Error | undefined;
}

/** Milliseconds that a program of Windows may take. */
const TIME_LIMIT = 30_000;

/** The libraries of the three contracts. */
export const LIBRARIES = ['computecore.dll', 'computestorage.dll', 'vmdevicehost.dll'] as const;

/** Asks Windows. Changes nothing, and loads none of the libraries. */
export async function gatherWindowsFacts(): Promise<WindowsFacts> {
  const [system, service, membership] = await Promise.all([
    ask('WindowsPowerShell/v1.0/powershell.exe', [
      '-NoProfile',
      '-NonInteractive',
      '-Command',
      FEATURE_QUERY,
    ]).then(parseFeatures),
    ask('sc.exe', ['query', 'vmcompute']).then(parseServiceState),
    ask('whoami.exe', ['/groups', '/fo', 'csv']).then(parseGroups),
  ]);
  return {
    architecture: process.arch,
    version: release(),
    system,
    service,
    membership,
    libraries: LIBRARIES.map((name) => examineLibrary(name, systemLibrary(name))),
  };
}

/** Looks at the file of a library. */
export function examineLibrary(name: string, path: string): LibraryFacts {
  if (!existsSync(path)) return { name, path, file: undefined };
  try {
    return { name, path, file: readPeFile(path) };
  } catch (error) {
    return { name, path, file: error as Error };
  }
}

/** What a program of the system folder prints; nothing where it does not run. It is never searched for. */
async function ask(program: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout, stderr } = await runTool(join(systemLibrary(program)), args, {
      timeout: TIME_LIMIT,
    });
    return stdout + stderr;
  } catch {
    return '';
  }
}
