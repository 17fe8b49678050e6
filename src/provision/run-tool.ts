import { type ChildProcess, spawn } from 'node:child_process';

/** What a program printed and how it ended. */
export interface ToolResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How {@link runTool} starts a program. */
export interface ToolOptions {
  readonly signal?: AbortSignal | undefined;
  readonly cwd?: string | undefined;
  /** Added to the environment. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** Receives each line that the program writes to file descriptor 3. */
  readonly status?: ((line: string) => void) | undefined;
  /** Ends the program after this time; `code` is then null. */
  readonly timeout?: number | undefined;
  readonly input?: string | undefined;
}

/**
 * Runs a program to its end, with messages in English. A code other than 0 is a result, not an error.
 *
 * @throws Error with `code: 'ENOENT'` when there is no such program, and `signal.reason` when aborted
 */
export function runTool(
  command: string,
  args: readonly string[],
  { signal, cwd, environment, status, timeout, input }: ToolOptions = {},
): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const child: ChildProcess = spawn(command, args, {
      cwd,
      env: { ...process.env, LC_ALL: 'C', LANGUAGE: 'C', ...environment },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', 'pipe'],
      ...(timeout === undefined ? {} : { timeout, killSignal: 'SIGKILL' as const }),
    });
    const output = { stdout: '', stderr: '' };
    let rest = '';
    const abort = (): void => {
      child.kill('SIGTERM');
    };
    signal?.addEventListener('abort', abort, { once: true });
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
      });
    }
    child.stdio[3]?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) status?.(line);
    });
    child.stdin?.on('error', () => undefined); // A program may end without reading its input.
    child.stdin?.end(input);
    child.on('error', (error) => {
      signal?.removeEventListener('abort', abort);
      reject(error);
    });
    child.on('close', (code) => {
      signal?.removeEventListener('abort', abort);
      if (signal?.aborted === true) reject(signal.reason);
      else resolve({ code, ...output });
    });
  });
}
