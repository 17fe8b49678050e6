import type { ChildProcess } from 'node:child_process';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive, type ProcessIdentity } from '../../provision/process-identity.ts';

/** How a process of a machine ended. `code` and `signal` are null where only its parent knows, which this process is not. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines that it printed. */
  readonly output: string;
}

const KEPT_OUTPUT = 4096;
const FOREIGN_POLL_MS = 50;

/**
 * Collects the end of what a process prints, and how it ends.
 * @param onEnd called when it has ended, before the promise resolves; not for one that could not be started
 * @param file where it prints into, if that is not a pipe to this process
 */
export function watchEnd(
  child: ChildProcess,
  onEnd: () => void,
  file?: string,
): Promise<ProcessExit> {
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
      const text = file === undefined ? output.trim() : tailOf(file);
      resolve({ code, signal, output: text });
    });
  });
}

/**
 * Waits for the end of a process that is not a child of this one, by looking now and then. A wait that is all there is
 * does not keep this process alive.
 * @param output file in which it writes what it prints
 */
export async function watchForeignEnd(
  identity: ProcessIdentity,
  output: string,
): Promise<ProcessExit> {
  while (isAlive(identity)) await delay(FOREIGN_POLL_MS, undefined, { ref: false });
  return { code: null, signal: null, output: tailOf(output) };
}

/** What is in a machine's folder may be a link to something that only the service can read. */
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** The end of what a process has printed into a file. */
export function tailOf(file: string): string {
  try {
    const fd = openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const size = Math.min(fstatSync(fd).size, KEPT_OUTPUT);
      const bytes = Buffer.alloc(size);
      readSync(fd, bytes, 0, size, fstatSync(fd).size - size);
      return bytes.toString().trim();
    } finally {
      closeSync(fd);
    }
  } catch {
    return ''; // It is for people, and never the reason of anything.
  }
}

/** One line for a person. */
export function describeExit({ code, signal, output }: ProcessExit): string {
  const how =
    signal !== null ? `signal ${signal}` : code !== null ? `exit code ${code}` : 'nobody saw how';
  return output === '' ? how : `${how}: ${output.split('\n').slice(-4).join(' / ')}`;
}
