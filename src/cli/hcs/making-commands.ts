import type { Command } from 'commander';
import type { CloneOptions } from './clone.ts';
import {
  addAccessOption,
  addExamples,
  addJsonOption,
  addServiceOptions,
} from './command-options.ts';
import type { CreateOptions } from './create.ts';
import type { RestoreOptions } from './restore.ts';
import type { SaveCommand } from './save.ts';
import type { HcsContext } from './service-host.ts';

/** Adds the commands that make systems: create, save, restore, clone. */
export function addMakingCommands(program: Command, context: HcsContext): void {
  const create = program
    .command('create')
    .summary('create a system from a document')
    .description(
      'Creates a compute system from a ComputeSystem document (JSON, comments allowed). Relative paths in it begin at the current folder. A machine whose document names no pipe for a COM port gets one, for hcs console.',
    )
    .argument('<file>', 'the document; - is standard input')
    .option('--id <id>', 'id of the system; default: the name of the file, a GUID under Windows')
    .option('--start', 'start it, too');
  addExamples(
    addServiceOptions(addJsonOption(addAccessOption(create))),
    'hcs create machine.json',
    'hcs create machine.json --id web --start',
    "hcs create machine.json --sddl 'D:(A;;GA;;;S-1-22-1-1000)(A;;GRGX;;;S-1-22-2-44)'",
    'jq .machine all.json | hcs create - --id web',
  ).action(async (file: string, options: CreateOptions) => {
    await (await import('./create.ts')).create(context, file, options);
  });

  const save = program
    .command('save')
    .summary('save a system to a file, or make it a template')
    .description(
      'Saves a machine to a file, and its document to FILE.json beside it. A machine that runs is paused before, and stays so. A template stays in memory, for hcs clone, and never runs again itself.',
    )
    .argument('<system>', 'id, or its beginning')
    .argument('[file]', 'file to write')
    .option('--resume', 'let it run on when it is saved')
    .option('--kill', 'end it when it is saved')
    .option('--template', 'make it a template, without a file');
  addExamples(
    addServiceOptions(addJsonOption(save)),
    'hcs save web web.vmrs --kill',
    'hcs save web --template',
  ).action(async (id: string, file: string | undefined, options: SaveCommand) => {
    await (await import('./save.ts')).save(context, id, file, options);
  });

  const restore = program
    .command('restore')
    .summary('go on from a file')
    .description(
      'Creates a machine from a saved state and the document of the machine that was saved, and lets it run on.',
    )
    .argument('<file>', 'file that hcs save has written')
    .argument('[document]', 'its document; default: FILE.json')
    .option('--id <id>', 'id of the system; default: the name of the file, a GUID under Windows')
    .option('--no-start', 'create it only');
  addExamples(
    addServiceOptions(addJsonOption(addAccessOption(restore))),
    'hcs restore web.vmrs',
    'hcs restore web.vmrs machine.json --id web2',
  ).action(async (file: string, document: string | undefined, options: RestoreOptions) => {
    await (await import('./restore.ts')).restore(context, file, document, options);
  });

  const clone = program
    .command('clone')
    .summary('make a system from a template')
    .description('Creates a machine that goes on from where its template was saved, and starts it.')
    .argument('<template>', 'id of the template, or its beginning')
    .argument('<new-id>', 'id of the clone')
    .option('--document <file>', "document of the clone; default: the template's")
    .option('--no-start', 'create it only');
  addExamples(
    addServiceOptions(addJsonOption(addAccessOption(clone))),
    'hcs save web --template && hcs clone web web-1',
  ).action(async (template: string, id: string, options: CloneOptions) => {
    await (await import('./clone.ts')).clone(context, template, id, options);
  });
}
