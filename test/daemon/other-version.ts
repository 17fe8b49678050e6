/**
 * A program for tests: the daemon as another version of this package has it, whose protocols have other numbers.
 * `other-version.ts OLDEST NEWEST OPTION…`, with options of `hcsd`.
 */
import { createHcsdProgram } from '../../src/cli/hcsd/program.ts';
import { PROTOCOL } from '../../src/daemon/protocol.ts';

const [oldest, newest, ...options] = process.argv.slice(2);
Object.assign(PROTOCOL, { oldest: Number(oldest), newest: Number(newest) });
await createHcsdProgram().parseAsync(options, { from: 'user' });
