import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { builtPackage } from '../built-package.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The package as it was built of this source, or undefined: commands run from their source then. */
const built = builtPackage();

const TYPESCRIPT = ['--import', join(root, 'node_modules/tsx/dist/loader.mjs')] as const;

/** What runs a program in TypeScript that uses this package: its build, or its source. */
const NODE: readonly string[] =
  built === undefined
    ? [process.execPath, ...TYPESCRIPT, '--conditions=hdvkit-source']
    : [process.execPath, ...TYPESCRIPT];

/** How a command of this package is run. */
const command = (name: string): readonly string[] =>
  built === undefined
    ? [...NODE, join(root, 'src', `${name}.ts`)]
    : [process.execPath, join(built, 'src', `${name}.js`)];

/** How programs are run: the commands of this package, and those for tests of `hcs`. */
const PROGRAMS = {
  hdvkit: command('cli/main'),
  hcs: command('cli/hcs/main'),
  hcsd: command('cli/hcsd/main'),
  hcsInTurn: [
    ...NODE,
    join(root, 'test/cli/hcs/commands-in-turn.ts'),
    pathToFileURL(join(built ?? root, 'src/')).href,
  ],
  hcsdOfOtherVersion: [
    process.execPath,
    ...TYPESCRIPT,
    '--conditions=hdvkit-source',
    join(root, 'test/daemon/other-version.ts'),
  ],
} as const;

/** How a program is run: Node and its arguments. */
export function programCommand(program: keyof typeof PROGRAMS): readonly string[] {
  return PROGRAMS[program];
}

/** The same, for a shell. */
export function programLine(program: keyof typeof PROGRAMS): string {
  return PROGRAMS[program].map(quoted).join(' ');
}

/** How a run of the command ended. */
export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How the command is run. */
export interface CliOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Standard input; it then ends. */
  readonly input?: string;
  /** What is run; `hdvkit`. */
  readonly program?: keyof typeof PROGRAMS;
}

/** A folder of its own for one test: device files in it import hdvkit by name, and its temporary files lie in it. */
export class Workplace implements Disposable {
  readonly path: string;
  /** TMPDIR of the commands that run here. */
  readonly temporary: string;

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), 'hc-'));
    this.temporary = join(this.path, 't');
    mkdirSync(this.temporary);
    // The loader keeps its compiled files in TMPDIR: they are shared, or each command would compile everything anew.
    const cache = `tsx-${process.getuid?.() ?? 0}`;
    mkdirSync(join(tmpdir(), cache), { recursive: true });
    symlinkSync(join(tmpdir(), cache), join(this.temporary, cache));
    mkdirSync(join(this.path, 'node_modules'));
    symlinkSync(root, join(this.path, 'node_modules/hdvkit'));
    symlinkSync(join(root, 'node_modules/tsx'), join(this.path, 'node_modules/tsx'));
    writeFileSync(join(this.path, 'package.json'), '{"type":"module"}');
  }

  /** Writes a file. @returns its path */
  write(name: string, text: string): string {
    const path = join(this.path, name);
    writeFileSync(path, text);
    return path;
  }

  /** Starts the command. */
  start(
    args: readonly string[],
    { env = {}, program = 'hdvkit' }: CliOptions = {},
  ): ChildProcessWithoutNullStreams {
    const [node = '', ...before] = PROGRAMS[program];
    return spawn(node, [...before, ...args], { cwd: this.path, env: this.#environment(env) });
  }

  /** The same, on a terminal of its own, by script(1) of util-linux. */
  startOnTerminal(
    args: readonly string[],
    { env = {}, program = 'hdvkit' }: CliOptions = {},
  ): ChildProcessWithoutNullStreams {
    const line = [programLine(program), ...args.map(quoted)].join(' ');
    return spawn('script', ['-qec', line, '/dev/null'], {
      cwd: this.path,
      env: this.#environment({ TERM: 'xterm', ...env }),
    });
  }

  /** Runs the command to its end. */
  async run(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    const child = this.start(args, options);
    child.stdin.end(options.input ?? '');
    return await ended(child);
  }

  /** Runs a program that is here, with this package. */
  async node(args: readonly string[]): Promise<CliResult> {
    const [node = '', ...before] = NODE;
    const env = this.#environment({});
    return await ended(spawn(node, [...before, ...args], { cwd: this.path, env }));
  }

  /** Runs `npm test` of a folder below, with this package. */
  async npmTest(folder: string): Promise<CliResult> {
    const options = built === undefined ? { NODE_OPTIONS: '--conditions=hdvkit-source' } : {};
    const env = { ...process.env, ...options };
    return await ended(spawn('npm', ['test'], { cwd: folder, env }));
  }

  /** What commands have left in their folder for temporary files; tsx keeps a cache of its own there. */
  get leftovers(): string[] {
    return readdirSync(this.temporary).filter((name) => !name.startsWith('tsx-'));
  }

  #environment(env: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
    const {
      HDVKIT_HOST: _host,
      HDVKIT_DEBUG: _debug,
      NODE_OPTIONS: _options,
      ...rest
    } = process.env;
    return { ...rest, TMPDIR: this.temporary, ...env };
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** Collects the output of a command until it has ended. */
export async function ended(child: ChildProcessWithoutNullStreams): Promise<CliResult> {
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

/** Milliseconds after which a test says what it has seen instead of running into its own limit. */
const UNTIL_LIMIT_MS = 200_000;

/**
 * Resolves with what a stream says from now on, once it contains `text`. The stream goes on.
 * @throws Error with what it has said, when it ends or says nothing of the kind for long
 */
export function until(stream: NodeJS.ReadableStream, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const listen = (chunk: unknown): void => {
      said += String(chunk);
      if (said.includes(text)) settle(() => resolve(said));
    };
    const end = (): void =>
      settle(() => reject(new Error(`Cannot find ${JSON.stringify(text)} in: ${said}`)));
    const timer = setTimeout(end, UNTIL_LIMIT_MS);
    const settle = (then: () => void): void => {
      clearTimeout(timer);
      stream.off('data', listen).off('end', end);
      then();
    };
    stream.on('data', listen).once('end', end);
  });
}
