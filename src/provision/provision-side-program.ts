import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AptRoot, unpackPackages } from './apt-root.ts';
import { cacheDirectory } from './cache-directory.ts';
import { findDebianMirror } from './debian-sources.ts';
import { ProvisionError } from './provision-error.ts';
import type { ProvisionOptions } from './provision-options.ts';
import { provisionFolder } from './provisioned-folder.ts';
import { runTool } from './run-tool.ts';
import { SIDE_PROGRAMS, type SideProgramName } from './side-programs.ts';

/** How to start a program of the cache. */
export interface ProvisionedSideProgram {
  readonly command: string;
  /** What stands before the program's own arguments. */
  readonly args: readonly string[];
  readonly version: string;
}

/** A program that {@link provisionSideProgram} left in the cache, if it has run. */
export function provisionedSideProgram(
  name: SideProgramName,
  cache: string = cacheDirectory(),
): ProvisionedSideProgram | undefined {
  const folder = join(cache, sideProgramFolder(name));
  const file = join(folder, 'version');
  if (!existsSync(file)) return undefined;
  return { ...commandOf(name, folder), version: readFileSync(file, 'utf8') };
}

/**
 * Fetches a program that runs beside QEMU, with everything it needs, its libc included, from Debian into the cache,
 * unless it is there. Nothing of the machine changes. Safe to call from several processes at once; picks up where an
 * interrupted run ended.
 *
 * @throws ProvisionError when this is no Debian, or the mirror cannot be reached
 */
export async function provisionSideProgram(
  name: SideProgramName,
  options: ProvisionOptions = {},
): Promise<ProvisionedSideProgram> {
  const cache = options.cache ?? cacheDirectory();
  const { suite, package: fromPackage, question, answer, version } = SIDE_PROGRAMS[name];
  await provisionFolder(join(cache, sideProgramFolder(name)), options, async (folder) => {
    const apt = new AptRoot(join(cache, 'apt', sideProgramFolder(name)), options);
    const files = await apt.fetch(findDebianMirror(), {
      title: name,
      suites: [suite],
      packages: [fromPackage],
    });
    await unpackPackages(files, join(folder, 'root'), `unpack ${name}`, options);
    const { command, args } = commandOf(name, folder);
    const told = await runTool(command, [...args, ...question]);
    if (!told.stdout.includes(answer)) {
      throw new ProvisionError(
        `Cannot use the ${name} that was fetched: it does not have ${answer}: ${told.stderr.trim()}`,
        'run "hdvkit provision --force"',
      );
    }
    const { stdout } = await runTool(command, [...args, ...version]);
    apt.discard();
    return { version: versionIn(stdout) };
  });
  return provisionedSideProgram(name, cache)!;
}

/** The version in a program's words; empty where there is none. */
export function versionIn(text: string): string {
  return /\d+(?:\.\d+)+/.exec(text)?.[0] ?? '';
}

/** Folder of the cache; the number grows when what lies in it changes. */
export function sideProgramFolder(name: SideProgramName): string {
  return `${name}-1`;
}

/** The program's own loader and libraries start it, as the machine's libc may be older. */
function commandOf(
  name: SideProgramName,
  folder: string,
): { readonly command: string; readonly args: readonly string[] } {
  const root = join(folder, 'root');
  const system = join(root, 'usr/lib/x86_64-linux-gnu');
  const { path, libraries } = SIDE_PROGRAMS[name];
  const searched = [system, ...libraries.map((library) => join(root, library))];
  return {
    command: join(system, 'ld-linux-x86-64.so.2'),
    args: ['--library-path', searched.join(':'), join(root, path)],
  };
}
