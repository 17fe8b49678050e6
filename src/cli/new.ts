import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import { deviceTemplate } from './new-templates.ts';
import { packageRoot, packageVersion } from './package.ts';
import { shellQuote } from './shell-quote.ts';
import { print } from './terminal.ts';
import { UsageError } from './usage-error.ts';

/** Adds `hdvkit new`. */
export function addNew(program: Command): void {
  program
    .command('new')
    .summary('write a first device with its test')
    .description('Writes a folder with a device, a test that passes at once, and a README.')
    .argument('<name>', 'name of the device and of its folder, in kebab-case')
    .option('--in <dir>', 'folder to make it in', '.')
    .addHelpText('after', '\nExample:\n  $ hdvkit new tone-generator')
    .action((name: string, options: { readonly in: string }) => createDevice(name, options.in));
}

function createDevice(name: string, parent: string): void {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name)) {
    throw new UsageError(
      `Cannot name a device ${JSON.stringify(name)}: names are kebab-case, a letter first`,
      'hdvkit new my-device',
    );
  }
  const folder = resolve(parent, name);
  const isInstalled = resolvesHdvkit(folder);
  const files = deviceTemplate(name, { dependency: dependencyFor() });
  // Everything is looked at before anything is written.
  const taken = Object.keys(files).find((path) => existsSync(join(folder, path)));
  if (taken !== undefined) {
    throw new UsageError(
      `Cannot write ${join(folder, taken)}: it exists, and nothing is overwritten`,
      'choose another name, or move the folder away',
    );
  }
  mkdirSync(folder, { recursive: true });
  for (const [path, text] of Object.entries(files)) {
    writeFileSync(join(folder, path), text, { flag: 'wx' });
    print(`wrote ${join(name, path)}`);
  }
  print(
    `\nNext:\n  cd ${shellQuote(relative('.', folder) || '.')}\n${isInstalled ? '' : '  npm install\n'}  npm test`,
  );
}

/** Does a file in this folder find `hdvkit` without installing anything? */
function resolvesHdvkit(folder: string): boolean {
  return createRequire(join(folder, 'package.json'))
    .resolve.paths('hdvkit')!
    .some((path) => existsSync(join(path, 'hdvkit', 'package.json')));
}

/** The published version when this is an installed package, else the checkout that is running. */
function dependencyFor(): string {
  const root = packageRoot();
  return root.split(sep).includes('node_modules') ? `^${packageVersion()}` : `file:${root}`;
}
