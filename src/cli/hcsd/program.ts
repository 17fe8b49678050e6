import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import { createRootCommand } from '../root-command.ts';
import { type HcsdOptions, runHcsd } from './run.ts';

/** The command line of `hcsd`. */
export function createHcsdProgram(run: (options: HcsdOptions) => Promise<void> = runHcsd): Command {
  return createRootCommand('hcsd')
    .description(
      'The Host Compute Service of this package: compute systems for the programs of a user.',
    )
    .option(
      '--socket <path>',
      'where it listens (default: HDVKIT_SOCKET, else the place of the user)',
    )
    .option('--state <folder>', 'where it keeps what outlives it (default: HDVKIT_STATE)')
    .addOption(
      new Option('--host <host>', 'what systems run on')
        .choices(['linux', 'simulated'])
        .default(process.platform === 'linux' ? 'linux' : 'simulated'),
    )
    .option('--idle-exit <seconds>', 'end after so long without clients and systems', seconds)
    .option(
      '--group <group>',
      'let the members of a group connect, by name or id; what they may do with a system says its security descriptor',
    )
    .option('--keep', 'let systems go on when a signal ends it, for the next one')
    .addHelpText(
      'after',
      `
It stays in the foreground, says where it listens, and logs to standard error. SIGTERM, SIGINT and
SIGHUP end it, and every system with it unless --keep is given. Systems that run on QEMU go on when it
is killed: the next one with the same --state takes them over. Started by a service manager that passes a socket
(LISTEN_FDS), it serves that one.

Examples:
  $ hcsd
  $ hcsd --host simulated --socket /tmp/hcs/hcsd.sock
  $ hcsd --idle-exit 60
  $ hcsd --group operators`,
    )
    .action(run);
}

function seconds(text: string): number {
  const value = Number(text);
  // A timer of Node holds 31 bits of milliseconds.
  if (text.trim() !== '' && value >= 0 && value <= 2_000_000) return value;
  throw new InvalidArgumentError('Use a number of seconds from 0 to 2000000.');
}
