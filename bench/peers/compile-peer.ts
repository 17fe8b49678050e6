import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../../src/cli/usage-error.ts';
import { findInPath } from '../../src/provision/find-in-path.ts';
import { runTool } from '../../src/provision/run-tool.ts';

/** A program in C to compare with, compiled on the spot. */
export interface Peer {
  /** Path of the program. */
  readonly program: string;
  /** What the compiler calls itself: `gcc (Debian 12.2.0-14) 12.2.0`. */
  readonly compiler: string;
}

/**
 * Compiles a source file of this folder, optimized, by the machine's own compiler.
 * @param source name of the file: `ping-pong.c`
 * @param folder where the program goes; the caller's
 * @throws UsageError when there is no compiler, or it fails
 */
export async function compilePeer(
  source: string,
  folder: string,
  options: readonly string[] = [],
): Promise<Peer> {
  const command = ['gcc', 'cc', 'clang'].map(findInPath).find((path) => path !== undefined);
  if (command === undefined) {
    throw new UsageError(
      `Cannot compile ${source}: there is no C compiler in PATH`,
      'install one (apt-get install gcc libc6-dev)',
    );
  }
  mkdirSync(folder, { recursive: true });
  const program = join(folder, source.replace(/\.c$/, ''));
  const file = fileURLToPath(new URL(source, import.meta.url));
  const { code, stderr } = await runTool(command, [
    '-O2',
    '-pthread',
    ...options,
    '-o',
    program,
    file,
  ]);
  if (code !== 0) {
    throw new UsageError(
      `Cannot compile ${source} with ${command}: ${stderr.trim().split('\n').slice(-3).join(' ')}`,
      'install a C compiler with its C library (apt-get install gcc libc6-dev)',
    );
  }
  const version = await runTool(command, ['--version']);
  return { program, compiler: version.stdout.split('\n')[0] ?? command };
}
