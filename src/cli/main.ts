#!/usr/bin/env node
/** The `hdvkit` command: `hdvkit --help` says the rest. */
import { presentFailure } from './failure.ts';
import { createProgram } from './program.ts';
import { runProgram } from './run-program.ts';

await runProgram(createProgram(), (error) => presentFailure(error));
