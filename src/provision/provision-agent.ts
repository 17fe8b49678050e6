import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AptRoot, unpackPackages } from './apt-root.ts';
import { cacheDirectory } from './cache-directory.ts';
import { findDebianMirror } from './debian-sources.ts';
import { findInPath } from './find-in-path.ts';
import { ProvisionError } from './provision-error.ts';
import type { ProvisionOptions } from './provision-options.ts';
import { provisionFolder } from './provisioned-folder.ts';
import { runTool } from './run-tool.ts';

const FOLDER = fileURLToPath(new URL('agent', import.meta.url));
const PROGRAMS = ['agent.c', 'vsock.c'].map((name) => join(FOLDER, name));
const SOURCES = [...PROGRAMS, join(FOLDER, 'vsock.h')];
/** Folder of the cache; the number grows when what lies in it changes. */
export const COMPILER_FOLDER = 'compiler-1';
const STEP = 'compile the guest agent';

interface Compiler {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** The agent that {@link provisionAgent} compiled from the present source, if it has run. */
export function provisionedAgent(cache: string = cacheDirectory()): string | undefined {
  const folder = agentFolder(cache);
  return existsSync(join(folder, 'version')) ? join(folder, 'agent') : undefined;
}

/**
 * Compiles the control agent of the test guest into the cache, unless it is there: a static program, by the machine's
 * C compiler, or by one from Debian that is fetched into the cache when the machine has none that can.
 *
 * @returns its path
 * @throws ProvisionError when there is no compiler and none can be had
 */
export async function provisionAgent(options: ProvisionOptions = {}): Promise<string> {
  const cache = options.cache ?? cacheDirectory();
  const folder = agentFolder(cache);
  await provisionFolder(folder, { ...options, force: false }, async (draft) => {
    options.progress?.({ step: STEP, done: 0, total: 1 });
    const target = join(draft, 'agent');
    const installed = await compileInstalled(target, options);
    if (installed === undefined)
      await compile(await provisionCompiler(cache, options), target, options);
    options.progress?.({ step: STEP, done: 1, total: 1 });
    return { version: '1' };
  });
  return join(folder, 'agent');
}

function agentFolder(cache: string): string {
  const hash = createHash('sha256');
  for (const source of SOURCES) hash.update(readFileSync(source));
  return join(cache, 'agent', hash.digest('hex').slice(0, 16));
}

/** @returns undefined when no compiler of the machine made a program of it: some lack a static libc */
async function compileInstalled(
  target: string,
  options: ProvisionOptions,
): Promise<string | undefined> {
  for (const name of ['gcc', 'cc', 'clang']) {
    const command = findInPath(name);
    if (command === undefined) continue;
    try {
      await compile({ command, args: [], environment: {} }, target, options);
      return target;
    } catch (error) {
      if (!(error instanceof ProvisionError)) throw error;
    }
  }
  return undefined;
}

async function compile(
  { command, args, environment }: Compiler,
  target: string,
  { signal }: ProvisionOptions,
): Promise<void> {
  const { code, stderr } = await runTool(
    command,
    [...args, '-O2', '-static', '-s', '-o', target, ...PROGRAMS],
    { signal, environment },
  );
  if (code === 0) return;
  throw new ProvisionError(
    `Cannot compile the guest agent with ${command}: ${stderr.trim().split('\n').slice(-3).join(' ')}`,
    'install a C compiler with a static libc (apt-get install gcc libc6-dev)',
  );
}

/** A compiler of the guest's Debian. Its libc stays behind: compiler and machine share the machine's. */
async function provisionCompiler(cache: string, options: ProvisionOptions): Promise<Compiler> {
  const folder = join(cache, COMPILER_FOLDER);
  await provisionFolder(folder, { ...options, force: false }, async (draft) => {
    const apt = new AptRoot(join(cache, 'apt', COMPILER_FOLDER), options);
    const files = await apt.fetch(findDebianMirror(), {
      title: 'a C compiler',
      suites: ['bookworm'],
      packages: ['gcc', 'libc6-dev'],
    });
    const wanted = files.filter((file) => !/\/(libc6|libc-bin)_/.test(file));
    await unpackPackages(wanted, join(draft, 'root'), 'unpack a C compiler', options);
    apt.discard();
    return { version: '1' };
  });
  const root = join(folder, 'root');
  return {
    command: join(root, 'usr/bin/gcc'),
    args: [`--sysroot=${root}`],
    environment: {
      PATH: `${join(root, 'usr/bin')}:${process.env.PATH ?? ''}`,
      LD_LIBRARY_PATH: ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu']
        .map((name) => join(root, name))
        .join(':'),
    },
  };
}
