import type { ChildProcess } from 'node:child_process';

/** How a process of a machine ended. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines that it printed. */
  readonly output: string;
}

const KEPT_OUTPUT = 4096;

/**
 * Collects the end of what a process prints, and how it ends.
 * @param onEnd called when it has ended, before the promise resolves; not for one that could not be started
 */
export function watchEnd(child: ChildProcess, onEnd: () => void): Promise<ProcessExit> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-KEPT_OUTPUT);
    });
  }
  return new Promise((resolve) => {
    child.once('error', (error) => {
      if (child.pid === undefined) resolve({ code: null, signal: null, output: error.message });
    });
    child.once('close', (code, signal) => {
      onEnd();
      resolve({ code, signal, output: output.trim() });
    });
  });
}

/** One line for a person. */
export function describeExit({ code, signal, output }: ProcessExit): string {
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
  return output === '' ? how : `${how}: ${output.split('\n').slice(-4).join(' / ')}`;
}
