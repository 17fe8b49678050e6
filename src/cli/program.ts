import type { Command } from 'commander';
import { addBench } from './bench.ts';
import { addDemo } from './demo.ts';
import { addDoctor } from './doctor.ts';
import { addError } from './error.ts';
import { addNew } from './new.ts';
import { addProvision } from './provision.ts';
import { createRootCommand, inheritSettings } from './root-command.ts';
import { addRun } from './run.ts';
import { addSchema } from './schema.ts';
import { addServe } from './serve.ts';
import { addShow } from './show.ts';
import { addValidate } from './validate.ts';
import { addVm } from './vm.ts';

/** The whole command line of `hdvkit`. */
export function createProgram(): Command {
  const program = createRootCommand('hdvkit').description(
    'Virtual PCI devices in TypeScript, in a simulated machine and in real guests',
  );
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
