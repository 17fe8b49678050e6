import type { Command } from 'commander';
import { addHostOption } from '../host-option.ts';
import { UsageError } from '../usage-error.ts';

/** Adds the options by which a command says which service it means. */
export function addServiceOptions(command: Command): Command {
  return addHostOption(
    command,
    "host of the systems; default: $HDVKIT_HOST, else the platform's own",
  )
    .option(
      '--socket <path>',
      'socket of the service; default: $HDVKIT_SOCKET, else that of this user',
    )
    .option('--embedded', 'use a service in this process, whose systems end with the command');
}

/** Adds the option by which a command that makes a system says who else may use it. */
export function addAccessOption(command: Command): Command {
  return command.option(
    '--sddl <text>',
    'who else may do what with it, as a security descriptor; default: its creator and root alone',
  );
}

/** Adds `--json`. */
export function addJsonOption(command: Command, what = 'print what was done as JSON'): Command {
  return command.option('--json', `${what}; errors, too`);
}

/** Adds examples to the help of a command. */
export function addExamples(command: Command, ...examples: readonly string[]): Command {
  return command.addHelpText(
    'after',
    ['', 'Examples:', ...examples.map((example) => `  $ ${example}`)].join('\n'),
  );
}

/** Parses an option that is a number of seconds, in fractions too. */
export function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value > 0) return value;
  throw new UsageError(
    `Cannot use ${JSON.stringify(text)} as a time: it is no positive number of seconds`,
  );
}
