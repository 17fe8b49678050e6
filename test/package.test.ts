import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtPackage } from './built-package.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
let folder: string;

/** Runs a command to its end in `cwd`; fails the test with its output when it fails. */
function run(cwd: string, command: string, ...args: string[]): string {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const result = spawnSync(command, args, { cwd, encoding: 'utf8', env });
  expect(result.status, `${command} ${args.join(' ')}\n${result.stdout}\n${result.stderr}`).toBe(0);
  return result.stdout;
}

/** The n-th ```ts block of the README whose text contains `mark`. */
function readmeBlock(mark: string): string {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1] as string);
  const block = blocks.find((text) => text.includes(mark));
  if (block === undefined) throw new Error(`Cannot find a ts block with ${mark} in the README`);
  return block;
}

describe('the package, installed into an empty folder', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hdvpack-'));
    // Other tests run what is built already.
    if (builtPackage() === undefined) run(root, 'npm', 'run', '--silent', 'build');
    run(root, 'npm', 'pack', '--ignore-scripts', '--silent', '--pack-destination', folder);
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) as string;
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({ name: 'user', private: true, type: 'module' }),
    );
    run(folder, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', `./${tarball}`);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('runs the README device, imported by name, without a build step', () => {
    writeFileSync(join(folder, 'first-device.ts'), readmeBlock('extends PciDevice'));
    const shown = run(folder, 'npx', '--no-install', 'hdvkit', 'show', 'first-device.ts');
    expect(shown).toMatch(/BAR 0/);
  });

  test('gives each entry its declarations', () => {
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const declared = Object.values<Record<string, string> | string>(exports).flatMap((entry) =>
      typeof entry === 'object' && entry.types && !entry.types.includes('*') ? [entry.types] : [],
    );
    expect(declared).toHaveLength(4);
    for (const file of declared) {
      expect(readFileSync(join(folder, 'node_modules/hdvkit', file), 'utf8')).toContain('export');
    }
  });

  test('loads each entry under plain Node', () => {
    const script = `const m = await Promise.all(['hdvkit', 'hdvkit/hcs', 'hdvkit/hdv', 'hdvkit/testing'].map((n) => import(n)));
      console.log(m.every((x) => Object.keys(x).length > 3));`;
    expect(run(folder, process.execPath, '--input-type=module', '-e', script).trim()).toBe('true');
  });

  test('has each class once, and the licences of what is joined with its own modules', () => {
    const built = join(folder, 'node_modules/hdvkit/dist/src');
    const script = `const [hdvkit, hcs, module] = await Promise.all(
        ['hdvkit', 'hdvkit/hcs', '${join(built, 'hcs/hcs-error.js')}'].map((name) => import(name)));
      console.log(hdvkit.HcsError === hcs.HcsError && hcs.HcsError === module.HcsError);`;
    expect(run(folder, process.execPath, '--input-type=module', '-e', script).trim()).toBe('true');
    for (const name of ['commander', 'vscode-jsonrpc']) {
      const text = readFileSync(join(built, `joined/${name}.js`), 'utf8');
      expect(text).toContain('The above copyright notice and this permission notice shall be');
    }
    const shown = run(folder, 'npx', '--no-install', 'hcs', 'error', '0x8037010E');
    expect(shown).toContain('HCS_E_SYSTEM_NOT_FOUND');
  });

  test('brings what is run on a real Hyper-V host, and none of the doubles', () => {
    const installed = join(folder, 'node_modules/hdvkit/test/windows');
    expect(readdirSync(installed)).toEqual(['smoke.mjs']);
    const help = run(folder, process.execPath, join(installed, 'smoke.mjs'), '--help');
    expect(help).toContain('--kernel FILE');
  });

  test('brings the benchmarks, with what they compile', () => {
    const measured = run(
      folder,
      'npx',
      '--no-install',
      'hdvkit',
      'bench',
      'attach',
      '--rounds=1',
      '--devices=2',
    );
    expect(measured).toMatch(/a worker each: memory of a further device +\S+ MiB/);
    if (process.platform !== 'linux') return;
    const compared = run(
      folder,
      'npx',
      '--no-install',
      'hdvkit',
      'bench',
      'vfio-user',
      '--rounds=1',
    );
    expect(compared).toMatch(/read, p50: hdvkit to C +\S+ ×/);
  });

  test('loads a bundled device by its entry', () => {
    const script = `const m = await import('hdvkit/devices/virtio-rng'); console.log(Object.keys(m).length > 0);`;
    expect(run(folder, process.execPath, '--input-type=module', '-e', script).trim()).toBe('true');
  });
});
