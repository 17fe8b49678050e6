import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DebianMirror } from './debian-sources.ts';
import { ProvisionError } from './provision-error.ts';
import type { ProvisionOptions } from './provision-options.ts';
import { runTool, type ToolResult } from './run-tool.ts';

/** What a private apt is to fetch. */
export interface AptRequest {
  /** Names the steps shown to the user: `'QEMU'`. */
  readonly title: string;
  /** Suites of the Debian mirror, component main. */
  readonly suites: readonly string[];
  /** As for apt-get install: `name` or `name/suite`. */
  readonly packages: readonly string[];
  /** Packages that are taken as installed, so that neither they nor what they need is fetched. */
  readonly present?: readonly string[];
}

/**
 * An apt with its own sources, lists and empty package database, in a folder of ours. It checks signatures and hashes,
 * resumes downloads, needs no root, and neither sees nor changes what is installed on the machine.
 */
export class AptRoot {
  readonly #directory: string;
  readonly #options: ProvisionOptions;

  constructor(directory: string, options: ProvisionOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  /**
   * Fetches the packages with everything they depend on.
   *
   * @returns the package files, valid until {@link AptRoot.discard}
   * @throws ProvisionError naming what apt said
   */
  async fetch(mirror: DebianMirror, request: AptRequest): Promise<string[]> {
    await this.#prepare(mirror, request);
    await this.#update(request);
    await this.#download(request);
    const archives = join(this.#directory, 'var/cache/apt/archives');
    const wanted = await this.#fileNames(request);
    return wanted.map((name) => join(archives, name));
  }

  /** Removes what was downloaded. */
  discard(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #prepare(mirror: DebianMirror, { suites, present = [] }: AptRequest): Promise<void> {
    for (const folder of [
      'etc/apt/sources.list.d',
      'etc/apt/preferences.d',
      'etc/apt/apt.conf.d',
      'etc/apt/trusted.gpg.d',
      'var/lib/apt/lists/partial',
      'var/cache/apt/archives/partial',
      'var/log/apt',
      'var/lib/dpkg',
    ]) {
      mkdirSync(join(this.#directory, folder), { recursive: true });
    }
    const file = (name: string, text: string): void =>
      writeFileSync(join(this.#directory, name), text);
    const installed = present.map(
      (name) =>
        `Package: ${name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 999:1\n\n`,
    );
    file('var/lib/dpkg/status', installed.join(''));
    file(
      'etc/apt/sources.list',
      suites
        .map(
          (suite) => `deb [arch=amd64 signed-by=${mirror.keyring}] ${mirror.uri} ${suite} main\n`,
        )
        .join(''),
    );
    file('apt.conf', await this.#configuration());
  }

  /** The machine's ways to reach a mirror (proxies, certificates, logins), and none of its hooks. */
  async #configuration(): Promise<string> {
    const dump = await this.#run('apt-config', ['dump']);
    const acquire = dump.stdout
      .split('\n')
      .filter(
        (line) => /^Acquire::/.test(line) && !/^Acquire::(IndexTargets|Languages)/.test(line),
      );
    const root = this.#directory;
    return [
      ...acquire,
      `Dir "${root}";`,
      `Dir::Etc "${root}/etc/apt";`,
      `Dir::Etc::netrc "/etc/apt/auth.conf";`,
      `Dir::Etc::netrcparts "/etc/apt/auth.conf.d";`,
      `Dir::State "${root}/var/lib/apt";`,
      `Dir::State::status "${root}/var/lib/dpkg/status";`,
      `Dir::Cache "${root}/var/cache/apt";`,
      `Dir::Log "${root}/var/log/apt";`,
      'Dir::Bin::methods "/usr/lib/apt/methods";',
      'Acquire::Languages "none";',
      'Acquire::Retries "3";',
      'APT::Architecture "amd64";',
      'APT::Architectures { "amd64"; };',
      'APT::Install-Recommends "false";',
      // The cache belongs to the user, often in a home that apt's own user cannot enter.
      'APT::Sandbox::User "";',
      'APT::Get::Assume-Yes "true";',
      '',
    ].join('\n');
  }

  async #update(request: AptRequest): Promise<void> {
    const update = (): Promise<ToolResult> =>
      this.#apt(['update', '--error-on=any'], `fetch package lists for ${request.title}`);
    let result = await update();
    // A mirror in the middle of a sync answers with hashes that do not fit; the next answer is whole.
    if (
      result.code !== 0 &&
      /Hash Sum mismatch|File has unexpected size|Mirror sync/.test(result.stderr)
    ) {
      result = await update();
    }
    if (result.code !== 0) throw this.#failure('fetch the package lists', result);
  }

  async #download(request: AptRequest): Promise<void> {
    const result = await this.#apt(
      ['install', '--download-only', ...request.packages],
      `download ${request.title}`,
    );
    if (result.code !== 0) throw this.#failure(`download ${request.title}`, result);
  }

  /** The names under which apt stores the packages of the request, whatever an earlier run left beside them. */
  async #fileNames(request: AptRequest): Promise<string[]> {
    // Packages that are already there are not printed, so it is made to look into a folder without any.
    const none = join(this.#directory, 'var/cache/apt/none');
    mkdirSync(join(none, 'partial'), { recursive: true });
    const result = await this.#apt([
      'install',
      '--print-uris',
      `-oDir::Cache::archives=${none}`,
      ...request.packages,
    ]);
    if (result.code !== 0) throw this.#failure(`list ${request.title}`, result);
    return [...result.stdout.matchAll(/^'[^']+' (\S+\.deb) \d+ /gm)].map(([, name]) => name!);
  }

  async #apt(args: readonly string[], step?: string): Promise<ToolResult> {
    const { progress } = this.#options;
    if (step !== undefined) progress?.({ step, done: 0, total: 100 });
    const result = await this.#run('apt-get', [...args, '-oAPT::Status-Fd=3', '-q'], (line) => {
      const percent = /^dlstatus:[^:]*:([\d.]+):/.exec(line)?.[1];
      if (step !== undefined && percent !== undefined) {
        progress?.({ step, done: Math.round(Number(percent)), total: 100 });
      }
    });
    if (step !== undefined && result.code === 0) progress?.({ step, done: 100, total: 100 });
    return result;
  }

  async #run(
    command: string,
    args: readonly string[],
    status?: (line: string) => void,
  ): Promise<ToolResult> {
    const configuration = join(this.#directory, 'apt.conf');
    try {
      return await runTool(command, args, {
        signal: this.#options.signal,
        status,
        environment: {
          DEBIAN_FRONTEND: 'noninteractive',
          ...(command === 'apt-get' && existsSync(configuration)
            ? { APT_CONFIG: configuration }
            : {}),
        },
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw new ProvisionError(
        `Cannot provision: there is no ${command} on this machine`,
        'install QEMU 10.1.1 or later yourself and name it by --qemu or HDVKIT_QEMU',
        { cause: error },
      );
    }
  }

  #failure(what: string, { stdout, stderr, code }: ToolResult): ProvisionError {
    const said =
      `${stderr}\n${stdout}`
        .split('\n')
        .filter((line) => /^[EW]:|^Err:/.test(line))
        .slice(0, 3)
        .join(' ') || `exit code ${code}`;
    return new ProvisionError(`Cannot ${what}: ${said}`, remedyFor(said));
  }
}

function remedyFor(said: string): string {
  if (/No space left|enough free space/i.test(said)) {
    return 'make room in the cache directory, or set HDVKIT_CACHE to another one';
  }
  if (/resolve|connect|Connection|timed out|unreachable|Proxy|Failed to fetch/i.test(said)) {
    return 'connect this machine to the network (apt must reach its mirror) and run it again: it resumes';
  }
  if (/NO_PUBKEY|not signed|signature/i.test(said)) {
    return 'run apt-get install --only-upgrade debian-archive-keyring';
  }
  return 'see whether apt-get update works on this machine, then run it again';
}

/** Unpacks packages, in order, into one folder. */
export async function unpackPackages(
  files: readonly string[],
  into: string,
  step: string,
  { progress, signal }: ProvisionOptions,
): Promise<void> {
  mkdirSync(into, { recursive: true });
  const sizes = files.map((file) => statSync(file).size);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  let done = 0;
  for (const [index, file] of files.entries()) {
    progress?.({ step, done, total });
    const { code, stderr } = await runTool('dpkg-deb', ['-x', file, into], { signal });
    if (code !== 0) {
      rmSync(file, { force: true });
      throw new ProvisionError(`Cannot unpack ${file}: ${stderr.trim()}`, 'run it again');
    }
    done += sizes[index]!;
  }
  progress?.({ step, done: total, total });
}
