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
import { buildNativePrograms } from './native-programs.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const COMPILED = ['src', 'devices', 'sample-devices', 'test', 'bench'];
/** What tests read besides. */
const READ = ['docs', 'README.md', 'CHANGELOG.md', 'package-lock.json'];
/** Their TypeScript stays beside the JavaScript: devices of users are TypeScript, and tests name modules by variables. */
const WITH_SOURCE = ['devices', 'sample-devices', 'test'];

/** What belongs to the tests for Windows in this checkout. */
export const buildFolder: string = join(root, '.windows-test');

/** What Windows Node runs: a package as npm installs it, with the tests beside its own modules. */
const packageFolder: string = join(buildFolder, 'package');

/** The JavaScript in it. */
export const builtFolder: string = join(packageFolder, 'dist');

/** A relative URL of a TypeScript file, as tests name modules for workers. */
const MODULE_URL = /(new URL\(['"`])([^'"`$]+)\.ts(['"`])/g;

/**
 * Builds what Windows Node runs: sources and tests as JavaScript, importing `hdvkit` by name as users do, and `vitest`
 * as the adapter over Node's own test runner.
 *
 * @param packages folders of packages for Windows, by name
 */
export function buildForWindows(packages: Readonly<Record<string, string>>): void {
  rmSync(packageFolder, { recursive: true, force: true });
  const tsc = spawnSync(
    join(root, 'node_modules/.bin/tsc'),
    ['-p', join(root, 'test/windows/wine/tsconfig.json')],
    { cwd: root, encoding: 'utf8' },
  );
  if (!existsSync(join(builtFolder, 'src/index.js'))) {
    throw new Error(`Cannot build for Windows: ${tsc.stdout}${tsc.stderr}`);
  }
  for (const folder of COMPILED) copyFiles(folder);
  for (const name of READ) cpSync(join(root, name), join(builtFolder, name), { recursive: true });
  for (const file of filesOf(join(builtFolder, 'test'))) {
    if (extname(file) === '.js') nameModulesAsBuilt(file);
  }
  buildNativePrograms(join(builtFolder, 'test'));
  writeManifest();
  linkPackages(packages);
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Programs, data and C sources lie beside the tests that use them. */
function copyFiles(folder: string): void {
  for (const file of filesOf(join(root, folder))) {
    const isSource = extname(file) === '.ts';
    if (isSource && (!WITH_SOURCE.includes(folder) || /\.(test|test-d|d)\.ts$/.test(file)))
      continue;
    const target = join(builtFolder, relative(root, file));
    mkdirSync(dirname(target), { recursive: true });
    cpSync(file, target);
  }
}

/** Imports are renamed by the compiler; URLs are not. What is not there keeps its name. */
function nameModulesAsBuilt(file: string): void {
  const text = readFileSync(file, 'utf8');
  const renamed = text.replace(MODULE_URL, (whole, before: string, path: string, quote: string) =>
    existsSync(join(dirname(file), `${path}.js`)) ? `${before}${path}.js${quote}` : whole,
  );
  if (renamed !== text) writeFileSync(file, renamed);
}

/** The package's own manifest, which points to the build. */
function writeManifest(): void {
  const text = readFileSync(join(root, 'package.json'), 'utf8');
  writeFileSync(join(packageFolder, 'package.json'), text);
  for (const name of ['sample-devices', 'test/windows/smoke.mjs']) {
    cpSync(join(root, name), join(packageFolder, name), { recursive: true });
  }
}

/** Windows programs see a link as a folder at the link's own place, so the installed packages can be shared. */
function linkPackages(packages: Readonly<Record<string, string>>): void {
  const from = join(root, 'node_modules');
  const to = join(packageFolder, 'node_modules');
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
  // For programs in folders of their own below, which find hdvkit as an installed package.
  symlinkSync(packageFolder, join(to, 'hdvkit'), 'dir');
  const vitest = join(to, 'vitest');
  mkdirSync(vitest);
  writeFileSync(
    join(vitest, 'package.json'),
    JSON.stringify({ name: 'vitest', type: 'module', exports: './index.js' }),
  );
  writeFileSync(
    join(vitest, 'index.js'),
    `export * from '../../dist/test/windows/wine/vitest-adapter.js';\n`,
  );
}
