/** Imports each file that it is given and prints, as one line of JSON each, what the file logged and whether it threw. */

import { pathToFileURL } from 'node:url';
import { format } from 'node:util';

/** What became of one example. */
export interface ExampleOutcome {
  readonly path: string;
  /** One text per call of console.log. */
  readonly printed: readonly string[];
  readonly error?: string;
}

const write = console.log;

for (const path of process.argv.slice(2)) {
  const printed: string[] = [];
  console.log = (...values: unknown[]) => void printed.push(format(...values));
  let outcome: ExampleOutcome = { path, printed };
  try {
    await import(pathToFileURL(path).href);
  } catch (error) {
    outcome = {
      ...outcome,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  }
  console.log = write;
  console.log(JSON.stringify(outcome));
}
