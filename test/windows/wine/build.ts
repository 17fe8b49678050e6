import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const COMPILED = ['src', 'devices', 'sample-devices', 'test'];

/** Where the JavaScript of sources and tests is built. */
export const builtFolder: string = join(root, '.windows-test');

/** A relative URL of a TypeScript file, as tests name modules for workers. */
const MODULE_URL = /(new URL\((['"`])[^'"`$]+)\.ts\2/g;

/**
 * Builds what Windows Node runs: sources and tests as JavaScript, importing `hdvkit` by name as users do, and `vitest`
 * as the adapter over Node's own test runner.
 *
 * @param packages folders of packages for Windows, by name
 */
export function buildForWindows(packages: Readonly<Record<string, string>>): void {
  rmSync(builtFolder, { recursive: true, force: true });
  const tsc = spawnSync(
    join(root, 'node_modules/.bin/tsc'),
    ['-p', join(root, 'test/windows/wine/tsconfig.json')],
    { cwd: root, encoding: 'utf8' },
  );
  if (!existsSync(join(builtFolder, 'src/index.js'))) {
    throw new Error(`Cannot build for Windows: ${tsc.stdout}${tsc.stderr}`);
  }
  for (const folder of COMPILED) copyOtherFiles(join(root, folder));
  for (const file of filesOf(join(builtFolder, 'test'))) {
    if (extname(file) === '.js') nameModulesAsBuilt(file);
  }
  writeManifest();
  linkPackages(packages);
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Programs, data and C sources lie beside the tests that use them. */
function copyOtherFiles(folder: string): void {
  for (const file of filesOf(folder)) {
    if (extname(file) === '.ts') continue;
    const target = join(builtFolder, relative(root, file));
    mkdirSync(dirname(target), { recursive: true });
    cpSync(file, target);
  }
}

/** Imports are renamed by the compiler; URLs are not. */
function nameModulesAsBuilt(file: string): void {
  const text = readFileSync(file, 'utf8');
  const renamed = text.replace(MODULE_URL, '$1.js$2');
  if (renamed !== text) writeFileSync(file, renamed);
}

/** The package's own manifest, its entries pointing to what was built here. */
function writeManifest(): void {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const text = JSON.stringify(manifest, null, 2)
    .replaceAll('./dist/', './')
    .replaceAll('"hdvkit-source"', '"never"');
  writeFileSync(join(builtFolder, 'package.json'), text);
}

/** Windows programs see a link as a folder at the link's own place, so the installed packages can be shared. */
function linkPackages(packages: Readonly<Record<string, string>>): void {
  const from = join(root, 'node_modules');
  const to = join(builtFolder, 'node_modules');
  mkdirSync(to);
  const link = (name: string, target: string): void => {
    mkdirSync(dirname(join(to, name)), { recursive: true });
    symlinkSync(target, join(to, name), 'dir');
  };
  for (const name of readdirSync(from)) {
    if (name.startsWith('.') || name === 'vitest') continue;
    if (!name.startsWith('@')) link(name, join(from, name));
    else
      for (const part of readdirSync(join(from, name)))
        link(`${name}/${part}`, join(from, name, part));
  }
  for (const [name, folder] of Object.entries(packages)) {
    rmSync(join(to, name), { force: true });
    link(name, folder);
  }
  const vitest = join(to, 'vitest');
  mkdirSync(vitest);
  writeFileSync(
    join(vitest, 'package.json'),
    JSON.stringify({ name: 'vitest', type: 'module', exports: './index.js' }),
  );
  writeFileSync(
    join(vitest, 'index.js'),
    `export * from '../../test/windows/wine/vitest-adapter.js';\n`,
  );
}
