import { statSync } from 'node:fs';
import { join } from 'node:path';
import { findInPath, isExecutable } from './find-in-path.ts';
import { ProvisionError } from './provision-error.ts';
import { provisionedSideProgram, versionIn } from './provision-side-program.ts';
import { runTool } from './run-tool.ts';
import { SIDE_PROGRAMS, type SideProgramName } from './side-programs.ts';

/** A program that can run beside QEMU. */
export interface SideProgram {
  readonly name: SideProgramName;
  /** What to spawn. */
  readonly command: string;
  /** What stands before the program's own arguments: nothing, or what starts one of the cache. */
  readonly args: readonly string[];
  /** `'1.13.2'`; empty where the program does not say. */
  readonly version: string;
  readonly source: 'installed' | 'provisioned';
}

/** Where to look. */
export interface FindSideProgramOptions {
  readonly cache?: string | undefined;
  /** Folders besides PATH; by default those where systems install the program. */
  readonly folders?: readonly string[] | undefined;
}

/**
 * Finds a program that runs beside QEMU: an installed one that does what is needed of it, else the provisioned one.
 *
 * @throws ProvisionError when there is none
 */
export async function findSideProgram(
  name: SideProgramName,
  options: FindSideProgramOptions = {},
): Promise<SideProgram> {
  const { answer, since, package: fromPackage, purpose, ...source } = SIDE_PROGRAMS[name];
  const folders = options.folders ?? source.folders;
  const installed =
    findInPath(name) ?? folders.map((folder) => join(folder, name)).find(isExecutable);
  const probed = installed === undefined ? undefined : await probe(name, installed);
  if (installed !== undefined && probed?.usable === true) {
    return { name, command: installed, args: [], version: probed.version, source: 'installed' };
  }
  const provisioned = provisionedSideProgram(name, options.cache);
  if (provisioned !== undefined) return { name, ...provisioned, source: 'provisioned' };
  throw new ProvisionError(
    installed === undefined
      ? `Cannot find ${name}, by which a machine has ${purpose}`
      : `Cannot use ${installed}: it is ${name} ${probed?.version} without ${answer}`,
    `run "hdvkit provision", or install ${fromPackage} ${since} or later`,
  );
}

interface Probe {
  readonly version: string;
  readonly usable: boolean;
}

const probes = new Map<string, Promise<Probe>>();

/** Asks a program for its version, and whether it can do what is needed; once per file and process. */
function probe(name: SideProgramName, command: string): Promise<Probe> {
  const { mtimeMs, size } = statSync(command);
  const key = `${command}\n${mtimeMs}\n${size}`;
  let result = probes.get(key);
  if (result === undefined) {
    result = ask(name, command);
    probes.set(key, result);
  }
  return result;
}

async function ask(name: SideProgramName, command: string): Promise<Probe> {
  const { question, answer, version } = SIDE_PROGRAMS[name];
  const answerTo = async (args: readonly string[]): Promise<string> => {
    try {
      return (await runTool(command, args, { timeout: 20_000 })).stdout;
    } catch {
      return ''; // A program for another system does not start; it is not usable then.
    }
  };
  return {
    version: versionIn(await answerTo(version)),
    usable: (await answerTo(question)).includes(answer),
  };
}
