#!/usr/bin/env node
/** The `hcs` command: `hcs --help` says the rest. */
import { runProgram } from '../run-program.ts';
import { connect, stop } from './connect.ts';
import { presentHcsFailure } from './failure.ts';
import { createHcsProgram } from './program.ts';

await runProgram(createHcsProgram({ connect, stop }), (error) =>
  presentHcsFailure(error, process.argv.includes('--json')),
);
