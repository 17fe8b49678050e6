/**
 * What every `hcs` command loads, joined in a few files: Node takes about a millisecond for each module that it loads, and
 * `hcs list` would load 130. A step of `npm run build`, on what is built: the modules are still there under their names
 * and hand on what the joined files have, so that nothing exists twice in a process.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'rolldown';

const root = fileURLToPath(new URL('.', import.meta.url));
const built = resolve(root, 'dist/src');

/** What a command begins with, and what it imports where it asks the service; see src/cli/hcs/list.ts. */
const BEGINNINGS = ['cli/hcs/main.js', 'cli/hcs/list.js', 'daemon/connect-service.js'];

/** Packages that are joined as well, each in a file of its own with its licence. */
const PACKAGES = ['commander', 'vscode-jsonrpc'];

/** Folders of src whose modules are joined, each after those that it imports. */
const FOLDERS = ['hcs', 'compute', 'daemon', 'hosts', 'cli'];

const IMPORT = /^(?:import|export)\s(?:[^'"]*?\sfrom\s)?['"](\.[^'"]+)['"];/gm;

const modules = new Set<string>();
for (const name of BEGINNINGS) addModule(resolve(built, name));

function addModule(file: string): void {
  if (modules.has(file)) return;
  modules.add(file);
  for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    addModule(resolve(dirname(file), name));
  }
}

/** Leaves what is not joined where it is, and keeps the way back to the source. */
const joinedModules: Plugin = {
  name: 'joined-modules',
  resolveId(id, importer) {
    if (!id.startsWith('.') || !importer?.startsWith(built)) return null;
    const file = resolve(dirname(importer), id);
    return modules.has(file) ? file : { id: file, external: true };
  },
  load(id) {
    if (!modules.has(id)) return null;
    return { code: readFileSync(id, 'utf8'), map: readFileSync(`${id}.map`, 'utf8') };
  },
  writeBundle(_options, written) {
    for (const file of modules) {
      const map = `${file}.map`;
      if (!(relative(built, map) in written)) rmSync(map);
    }
  },
};

/** Of which package a module is. */
function packageOf(id: string): string | undefined {
  return PACKAGES.find((name) => id.includes(`/node_modules/${name}/`));
}

function licence(name: string): string {
  const folder = resolve(root, 'node_modules', name);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) throw new Error(`Cannot join ${name}: it has no licence file`);
  return `/*! ${name}\n${readFileSync(resolve(folder, file), 'utf8').trim()}\n*/`;
}

await build({
  input: Object.fromEntries(
    [...modules].map((file) => [relative(built, file).replace(/\.js$/, ''), file]),
  ),
  platform: 'node',
  external: (id) => !/^[./]/.test(id) && !PACKAGES.some((name) => `${id}/`.startsWith(`${name}/`)),
  makeAbsoluteExternalsRelative: true,
  preserveEntrySignatures: 'strict',
  treeshake: false,
  plugins: [joinedModules],
  output: {
    dir: built,
    sourcemap: true,
    entryFileNames: '[name].js',
    // As deep as the modules are that look for files beside them.
    chunkFileNames: 'joined/[name].js',
    banner: ({ name }) => (PACKAGES.includes(name) ? licence(name) : ''),
    codeSplitting: {
      groups: [
        {
          name: (id) => packageOf(id) ?? null,
          debugName: 'packages',
          priority: FOLDERS.length + 1,
        },
        // A group takes with it what its modules import and no group before it has.
        ...FOLDERS.map((name, at) => ({
          name,
          // The program itself runs when it is loaded.
          test: (id: string) => id.startsWith(resolve(built, name)) && !id.endsWith('/main.js'),
          priority: FOLDERS.length - at,
        })),
      ],
    },
  },
});
