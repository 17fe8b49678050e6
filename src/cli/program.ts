import { Command } from 'commander';
import { addBench } from './bench.ts';
import { addDemo } from './demo.ts';
import { addDoctor } from './doctor.ts';
import { addNew } from './new.ts';
import { packageVersion } from './package.ts';
import { addProvision } from './provision.ts';
import { addRun } from './run.ts';
import { addServe } from './serve.ts';
import { addShow } from './show.ts';
import { colors } from './terminal.ts';

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
  addNew(program);
  addShow(program);
  addDoctor(program);
  addBench(program);
  addProvision(program);
  for (const command of program.commands) command.exitOverride().copyInheritedSettings(program);
  return program;
}
