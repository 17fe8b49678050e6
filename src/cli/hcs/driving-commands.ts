import { Argument, type Command, Option } from 'commander';
import type { AttachOptions } from './attach.ts';
import { addExamples, addJsonOption, addServiceOptions, seconds } from './command-options.ts';
import type { ConsoleOptions } from './console.ts';
import type { DriveCommand, DriveOptions } from './drive.ts';
import type { Modification } from './modify.ts';
import type { OutputOptions } from './output.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';

/** What `--wait` without a time means. */
const FOREVER = 'forever';

/** Adds the commands that do something to systems that exist. */
export function addDrivingCommands(program: Command, context: HcsContext): void {
  const add = (name: DriveCommand, summary: string, description: string): Command => {
    const command = program
      .command(name)
      .summary(summary)
      .description(description)
      .argument('<system...>', 'ids, or their beginnings');
    return addServiceOptions(addJsonOption(command)).action(
      async (ids: readonly string[], options: DriveOptions) => {
        await (await import('./drive.ts')).drive(context, name, ids, options);
      },
    );
  };
  addExamples(
    add(
      'start',
      'start systems',
      'Starts systems that were created. What has ended starts no more.',
    ),
    'hcs start web',
    'hcs start web db',
  );
  addExamples(
    add('pause', 'stop their processors', 'Stops the processors of systems, which stay in memory.'),
    'hcs pause web',
  );
  addExamples(add('resume', 'let them run on', 'Lets paused systems run on.'), 'hcs resume web');
  addExamples(
    add(
      'shutdown',
      'ask their guests to shut down',
      'Asks the guests of systems to shut down, as a power button does. What a guest does about it, and when, is its own affair. Needs $.VirtualMachine.Services.Shutdown in the document.',
    )
      .option('--reboot', 'ask to start again instead')
      .addOption(
        new Option('--wait [seconds]', 'wait until it has ended; without a time, however long')
          .argParser((text) => (text === FOREVER ? true : seconds(text)))
          .preset(FOREVER),
      ),
    'hcs shutdown web --wait 60 || hcs kill web',
  );
  addExamples(
    add('kill', 'end systems at once', 'Ends systems as if their power were cut.').alias(
      'terminate',
    ),
    'hcs kill web',
    'hcs list --quiet --state Paused | xargs --no-run-if-empty --delimiter "\\n" hcs kill --',
  );
  addExamples(
    add(
      'crash',
      'crash their guests',
      'Crashes the guests of systems by a non-maskable interrupt. What a guest makes of it comes as events.',
    ),
    'hcs crash web',
  );
  addModify(program, context);
  addAttach(program, context);
  addConsole(program, context);
}

function addModify(program: Command, context: HcsContext): void {
  const command = program
    .command('modify')
    .summary('change one resource of a system')
    .description(
      'Adds, removes or updates a resource of a system. The path is that of the document; the settings are a document of the type that stands there, comments allowed.',
    )
    .argument('<system>', 'id, or its beginning')
    .argument('<path>', 'resource path: VirtualMachine/Devices/Scsi/disks/Attachments/0')
    .addArgument(new Argument('<change>', 'what to do').choices(['add', 'remove', 'update']))
    .argument('[file]', 'file of the settings; - is standard input');
  addExamples(
    addServiceOptions(addJsonOption(command)),
    'hcs modify web VirtualMachine/Devices/Scsi/disks/Attachments/1 add disk.json',
    'hcs modify web VirtualMachine/Devices/Scsi/disks/Attachments/1 remove',
    'echo 1024 | hcs modify web VirtualMachine/ComputeTopology/Memory/SizeInMB update -',
  ).action(
    async (
      id: string,
      path: string,
      change: Modification,
      file: string | undefined,
      options: ServiceOptions & OutputOptions,
    ) => {
      await (await import('./modify.ts')).modify(context, id, path, change, file, options);
    },
  );
}

function addAttach(program: Command, context: HcsContext): void {
  const command = program
    .command('attach')
    .summary('give a system a device of a file')
    .description(
      'Loads a device from a TypeScript or JavaScript file, gives it to a system and serves it until Ctrl-C, which takes it out again, or until the system has ended.',
    )
    .argument('<system>', 'id, or its beginning')
    .argument('<file>', 'file that exports the device, .ts or .js; FILE#EXPORT names its class')
    .option('--export <name>', 'name of the device class, where the file exports several')
    .option('--configuration <text...>', 'configuration strings for the device', []);
  addExamples(
    addServiceOptions(addJsonOption(command)),
    'hcs attach web edu.ts',
    "hcs attach web 'nics.ts#FastNic' --configuration mac=02:00:00:00:00:01",
  ).action(async (id: string, file: string, options: AttachOptions) => {
    await (await import('./attach.ts')).attach(context, id, file, options);
  });
}

function addConsole(program: Command, context: HcsContext): void {
  const command = program
    .command('console')
    .summary('be at the console of a system')
    .description(
      'Connects the first COM port of a system to this terminal. Ctrl-] leaves it; Ctrl-C goes to the guest. Where standard input is no terminal, what comes is typed.',
    )
    .argument('<system>', 'id, or its beginning')
    .option('--pipe <path>', 'pipe or socket to use instead of the one in the document');
  addExamples(addServiceOptions(command), 'hcs console web').action(
    async (id: string, options: ConsoleOptions) => {
      await (await import('./console.ts')).console(context, id, options);
    },
  );
}
