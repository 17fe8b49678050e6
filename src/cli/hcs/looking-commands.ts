import { Argument, type Command } from 'commander';
import { positiveInteger } from '../positive-integer.ts';
import { addExamples, addJsonOption, addServiceOptions, seconds } from './command-options.ts';
import type { EventsOptions } from './events.ts';
import type { ListOptions } from './list.ts';
import type { ScreenshotOptions } from './screenshot-command.ts';
import type { ServiceAction, ServiceCommandOptions } from './service-action.ts';
import type { HcsContext } from './service-host.ts';
import type { ShowOptions } from './show.ts';
import type { StatsOptions } from './stats.ts';
import type { WaitOptions } from './wait.ts';

/** Adds the commands that change nothing. */
export function addLookingCommands(program: Command, context: HcsContext): void {
  const list = program
    .command('list')
    .alias('ls')
    .summary('list the systems')
    .description('Lists the compute systems that there are. What has ended is not among them.')
    .option('--owner <owner...>', 'only those of these owners')
    .option(
      '--state <state>',
      'only those in this state: Created, Running, Paused, SavedAsTemplate',
    )
    .option('-q, --quiet', 'print the ids only');
  addExamples(
    addServiceOptions(addJsonOption(list, 'print an array of Properties documents')),
    'hcs list',
    'hcs list --state Running --quiet',
    'hcs list --json | jq -r \'.[] | select(.Owner == "ci").Id\'',
  ).action(async (options: ListOptions) => {
    await (await import('./list.ts')).list(context, options);
  });

  const show = program
    .command('show')
    .summary('show the properties of a system')
    .description(
      'Shows what the service knows of a system: its basic properties, and those of the types that are named (Memory, Statistics, ProcessorTopology, GuestConnection, …; hcs schema System_PropertyType lists them).',
    )
    .argument('<system>', 'id, or its beginning')
    .argument('[type...]', 'types of properties')
    .option('--document', 'show the document that it was created from instead');
  addExamples(
    addServiceOptions(addJsonOption(show, 'print a Properties document')),
    'hcs show web',
    'hcs show web Memory Statistics --json',
    'hcs show web --document > web.json',
  ).action(async (id: string, types: readonly string[], options: ShowOptions) => {
    await (await import('./show.ts')).show(context, id, types, options);
  });

  const events = program
    .command('events')
    .summary('show what happens to systems')
    .description(
      'Shows the state of systems, and with --follow what happens to them from then on: states, crashes with the last lines of their reports, exits. Without ids, of every system, those that come later included. Ends when the systems that were named have ended.',
    )
    .argument('[system...]', 'ids, or their beginnings')
    .option('-f, --follow', 'go on');
  addExamples(
    addServiceOptions(addJsonOption(events, 'print each event as a line of JSON')),
    'hcs events -f',
    'hcs events web -f --json | jq -c \'select(.type == "crashed")\'',
  ).action(async (ids: readonly string[], options: EventsOptions) => {
    await (await import('./events.ts')).events(context, ids, options);
  });

  const stats = program
    .command('stats')
    .summary('show what systems use')
    .description(
      'Shows processor time, memory and disk traffic of systems: live with a chart on a terminal, once elsewhere. 100 % is one processor.',
    )
    .argument('[system...]', 'ids, or their beginnings; default: all')
    .option('--interval <seconds>', 'time between two looks', seconds, 1)
    .option('--count <number>', 'end after so many', positiveInteger);
  addExamples(
    addServiceOptions(addJsonOption(stats, 'print each sample as a line of JSON')),
    'hcs stats',
    'hcs stats web --json --count 10 | jq .cpuPercent',
  ).action(async (ids: readonly string[], options: StatsOptions) => {
    await (await import('./stats.ts')).stats(context, ids, options);
  });

  const wait = program
    .command('wait')
    .summary('wait until systems have ended')
    .description('Waits until systems have ended, and ends with a code that says how.')
    .argument('<system...>', 'ids, or their beginnings')
    .option('--timeout <seconds>', 'give up after this time', seconds);
  addExamples(
    addServiceOptions(
      addJsonOption(wait, 'print each SystemExitStatus as a line of JSON'),
    ).addHelpText('after', WAIT_CODES),
    'hcs wait web && echo it shut down by itself',
  ).action(async (ids: readonly string[], options: WaitOptions) => {
    await (await import('./wait.ts')).wait(context, ids, options);
  });

  const screenshot = program
    .command('screenshot')
    .summary('take a picture of a display')
    .description(
      'Writes what the display of a system shows to a file, as the host gives it (PNG on Linux). Needs $.VirtualMachine.Devices.VideoMonitor in the document; machines of the host simulated have no display.',
    )
    .argument('<system>', 'id, or its beginning')
    .argument('<file>', 'file to write; - is standard output')
    .option('--width <pixels>', 'width of the picture', positiveInteger)
    .option('--height <pixels>', 'height of the picture', positiveInteger);
  addExamples(addServiceOptions(addJsonOption(screenshot)), 'hcs screenshot web web.png').action(
    async (id: string, file: string, options: ScreenshotOptions) => {
      await (await import('./screenshot-command.ts')).takeScreenshot(context, id, file, options);
    },
  );

  const service = program
    .command('service')
    .summary('show the compute service, start or stop it')
    .description(
      'Shows what the compute service is, and what its host is made of; it is started where none runs, and with status only looked for. stop ends the daemon of this user: systems of the host linux go on, simulated ones end with it.',
    )
    .addArgument(new Argument('[action]', 'what to do').choices(['status', 'start', 'stop']))
    .option('-y, --yes', 'stop it without a question, also where systems end with it');
  addExamples(
    addServiceOptions(addJsonOption(service, 'print the properties of the service')),
    'hcs service',
    'hcs service status --json | jq .systems',
    'hcs service stop',
  ).action(async (action: ServiceAction | undefined, options: ServiceCommandOptions) => {
    await (await import('./service-action.ts')).serviceAction(context, action, options);
  });
}

const WAIT_CODES = `
Exit codes:
  0    the guest shut down by itself, or when it was asked to
  1    the wait was too long, the service ended meanwhile, or how the system ended is not known
  3    the system was killed
  4    it ended unexpectedly: its guest crashed, or its process did`;
