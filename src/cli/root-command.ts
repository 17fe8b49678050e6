import { Command } from 'commander';
import { packageVersion } from './package.ts';
import { colors } from './terminal.ts';

/** The root of a command line. Errors are thrown, never exits: `runProgram` presents them. */
export function createRootCommand(name: string): Command {
  return new Command(name)
    .version(packageVersion())
    .showHelpAfterError('(add --help for options and examples)')
    .configureHelp({ styleTitle: (text) => colors().bold(text) })
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, `${name}: `)) })
    .exitOverride();
}

/** Commands of commands, too. */
export function inheritSettings(parent: Command): void {
  for (const command of parent.commands) {
    command.exitOverride().copyInheritedSettings(parent);
    inheritSettings(command);
  }
}
