import type { Command } from 'commander';
import { addError } from '../error.ts';
import { createRootCommand, inheritSettings } from '../root-command.ts';
import { addSchema } from '../schema.ts';
import { addValidate } from '../validate.ts';
import { addCompletion } from './completion-command.ts';
import { addDrivingCommands } from './driving-commands.ts';
import { addLookingCommands } from './looking-commands.ts';
import { addMakingCommands } from './making-commands.ts';
import type { HcsContext } from './service-host.ts';

/** The whole command line of `hcs`. */
export function createHcsProgram(context: HcsContext): Command {
  const program = createRootCommand('hcs')
    .description(
      'Controls compute systems: virtual machines of the Host Compute System, on Hyper-V, on QEMU and simulated.',
    )
    .enablePositionalOptions()
    .configureOutput({ outputError: (text, write) => write(withHint(text)) })
    .addHelpText('after', EPILOGUE);
  addMakingCommands(program, context);
  addLookingCommands(program, context);
  addDrivingCommands(program, context);
  addValidate(program);
  addSchema(program);
  addError(program);
  addCompletion(program, context);
  inheritSettings(program);
  return program;
}

/** Ids may look like options: whoever gives one is told how. */
function withHint(text: string): string {
  const told = text.replace(/^error: /, 'hcs: ');
  return told.includes('unknown option')
    ? `${told.trimEnd()}\n(an id or file that begins with - comes after --: hcs show -- -x)\n`
    : told;
}

const EPILOGUE = `
An id may be given by a beginning that no other id has. Streams for programs (--json) have one document in each line.

Exit codes:
  0    done
  1    the system or the service said no, or the service ended meanwhile; validate: a document has
       problems; service status: no service runs
  2    the command line, a document or a file is wrong
  3, 4 of hcs wait: the system was killed, or ended unexpectedly
  130  Ctrl-C, 143 SIGTERM, 129 the terminal was closed: compute systems are left as they are
  141  nobody reads the output any more

Examples:
  $ hcs create machine.json --id web --start
  $ hcs list
  $ hcs console web
  $ hcs shutdown web --wait 60 || hcs kill web`;
