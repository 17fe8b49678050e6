#!/usr/bin/env node
/** The `hdvkit` command: `hdvkit --help` says the rest. */
import { ExitCode, outputFailureCode, presentFailure } from './failure.ts';
import { createProgram } from './program.ts';

let isOutputFailureTold = false;
// `hdvkit show x.ts | head -1`: what nobody reads is not written, and nobody is told. A full disk is told.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exitCode = outputFailureCode(error);
  if (process.exitCode !== ExitCode.OUTPUT_CLOSED && !isOutputFailureTold) {
    process.stderr.write(`hdvkit: Cannot write standard output: ${error.message}\n`);
  }
  isOutputFailureTold = true;
});
process.stderr.on('error', () => undefined);

try {
  await createProgram().parseAsync(process.argv);
} catch (error) {
  const { text, code } = presentFailure(error);
  process.stderr.write(text);
  process.exitCode = code;
}
