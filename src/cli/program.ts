import { Command } from 'commander';
import { addBench } from './bench.ts';
import { addDemo } from './demo.ts';
import { addDoctor } from './doctor.ts';
import { addError } from './error.ts';
import { addNew } from './new.ts';
import { packageVersion } from './package.ts';
import { addProvision } from './provision.ts';
import { addRun } from './run.ts';
import { addSchema } from './schema.ts';
import { addServe } from './serve.ts';
import { addShow } from './show.ts';
import { colors } from './terminal.ts';
import { addValidate } from './validate.ts';
import { addVm } from './vm.ts';

/** The whole command line. Errors are thrown, never exits: `main` presents them. */
export function createProgram(): Command {
  const program = new Command('hdvkit')
    .description('Virtual PCI devices in TypeScript, in a simulated machine and in real guests')
    .version(packageVersion())
    .showHelpAfterError('(add --help for options and examples)')
    .configureHelp({ styleTitle: (text) => colors().bold(text) })
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'hdvkit: ')) })
    .exitOverride();
  addDemo(program);
  addRun(program);
  addServe(program);
  addVm(program);
  addValidate(program);
  addSchema(program);
  addError(program);
  addNew(program);
  addShow(program);
  addDoctor(program);
  addBench(program);
  addProvision(program);
  inheritSettings(program);
  return program;
}

/** Commands of commands, too. */
function inheritSettings(parent: Command): void {
  for (const command of parent.commands) {
    command.exitOverride().copyInheritedSettings(parent);
    inheritSettings(command);
  }
}
