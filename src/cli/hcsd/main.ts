#!/usr/bin/env node
/** The `hcsd` command: `hcsd --help` says the rest. */
import { presentFailure } from '../failure.ts';
import { runProgram } from '../run-program.ts';
import { createHcsdProgram } from './program.ts';

await runProgram(createHcsdProgram(), (error) => presentFailure(error, { program: 'hcsd' }));
