import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ProvisionError } from '../../../src/provision/provision-error.ts';
import type { ProvisionOptions } from '../../../src/provision/provision-options.ts';
import { provisionFolder } from '../../../src/provision/provisioned-folder.ts';
import { runTool, type ToolResult } from '../../../src/provision/run-tool.ts';

/** One version of a package, and what its archive must hash to. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** As in package-lock.json: `sha512-` and the hash in base 64. */
  readonly integrity: string;
}

/** Errors are said (not so with `--silent`), and a registry that cannot be reached is asked twice, not for a minute. */
export const NPM_OPTIONS = [
  '--loglevel=error',
  '--fetch-retries=1',
  '--fetch-retry-mintimeout=1000',
] as const;

/** Lines of npm that only have a code, which the reason repeats. */
const BARE_CODE = /^(?:code|syscall|errno|address) \S+$/;

/** The line in which npm says what was wrong, else its exit code. */
export function npmFailure({ code, stderr }: ToolResult): string {
  const lines = stderr
    .split('\n')
    .map((line) => line.replace(/^npm (?:error|ERR!) ?(?:network |\d{3} )?/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('npm warn'));
  return lines.find((line) => !BARE_CODE.test(line)) ?? lines[0] ?? `npm ended with code ${code}`;
}

/** What the project's own lock file says of a package that npm does not install on this system. */
export function lockedPackage(name: string): NpmPackage {
  const file = fileURLToPath(new URL('../../../package-lock.json', import.meta.url));
  const { packages } = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly packages: Readonly<Record<string, NpmPackage>>;
  };
  const locked = packages[`node_modules/${name}`];
  if (locked === undefined) throw new Error(`Cannot find ${name} in package-lock.json`);
  return { name, version: locked.version, integrity: locked.integrity };
}

/**
 * Fetches and unpacks a package into `cache`, whatever system and processor it is made for; once, also when several
 * processes ask at the same time.
 *
 * @returns the folder of the package
 * @throws ProvisionError when npm cannot fetch it, or the archive is another one than expected
 */
export async function provisionPackage(
  cache: string,
  wanted: NpmPackage,
  options: ProvisionOptions = {},
): Promise<string> {
  const { name, version, integrity } = wanted;
  const folder = join(cache, `${name.replace(/^@/, '').replace('/', '-')}-${version}`);
  await provisionFolder(folder, options, async (draft) => {
    options.progress?.({ step: `fetch ${name} ${version}`, done: 0, total: 0 });
    const spec = `${name}@${version}`;
    const pack = await runTool('npm', ['pack', ...NPM_OPTIONS, '--ignore-scripts', spec], {
      cwd: draft,
      signal: options.signal,
    });
    const archive = pack.stdout.trim().split('\n').at(-1) ?? '';
    if (pack.code !== 0 || !archive.endsWith('.tgz')) {
      throw new ProvisionError(
        `Cannot fetch ${spec}: ${npmFailure(pack)}`,
        'give npm access to its registry for the first run; what was fetched is kept',
      );
    }
    const file = join(draft, archive);
    const hash = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;
    if (hash !== integrity) {
      throw new ProvisionError(
        `Cannot use ${spec}: its archive hashes to ${hash}, not to ${integrity}`,
        'find out what the registry serves before going on',
      );
    }
    const tar = await runTool('tar', ['-xzf', archive], { cwd: draft, signal: options.signal });
    if (tar.code !== 0) throw new Error(`Cannot unpack ${archive}: ${tar.stderr.trim()}`);
    rmSync(file);
    return { version };
  });
  return join(folder, 'package');
}
