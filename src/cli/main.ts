#!/usr/bin/env node
/** The `hdvkit` command: `hdvkit --help` says the rest. */
import { presentFailure } from './failure.ts';
import { createProgram } from './program.ts';

try {
  await createProgram().parseAsync(process.argv);
} catch (error) {
  const { text, code } = presentFailure(error);
  process.stderr.write(text);
  process.exitCode = code;
}
