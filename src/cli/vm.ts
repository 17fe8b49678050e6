import type { Command } from 'commander';
import { addHostOption } from './host-option.ts';
import { positiveInteger } from './positive-integer.ts';
import type { VmRunOptions } from './vm/run-options.ts';

/** Adds `hdvkit vm`, the commands for whole machines. */
export function addVm(program: Command): void {
  const vm = program
    .command('vm')
    .summary('run machines from their documents')
    .description('Runs machines from ComputeSystem documents, as the Host Compute System has them.')
    .addHelpText('after', '\nExample:\n  $ hdvkit vm run machine.json');
  const command = vm
    .command('run')
    .summary('run a machine in the foreground')
    .description(
      'Creates and starts the machine of a ComputeSystem document (JSON, comments allowed), with the console of its first COM port on this terminal. Ctrl-] opens a prompt that pauses, saves, crashes and changes it. Events are printed as they come. Ctrl-C, where it does not go to the guest, shuts the machine down, and nothing of it is left.',
    )
    .argument('<file>', 'the document; - is standard input')
    .option('--id <id>', 'id of the compute system; default: one of its own')
    .option(
      '--device <file>',
      'attach the device of this file before the start; FILE#EXPORT names its class; may be repeated',
      (value: string, before: readonly string[]) => [...before, value],
      [] as readonly string[],
    )
    .option(
      '--shutdown-timeout <seconds>',
      'how long the guest may take to shut down',
      positiveInteger,
      10,
    )
    .option('--json', 'print events and console output as lines of JSON, without a prompt')
    .addHelpText('after', EXAMPLES);
  addHostOption(command).action(async (path: string, options: VmRunOptions) => {
    const { runMachine } = await import('./vm/run-machine.ts');
    await runMachine(path, options);
  });
}

const EXAMPLES = `
Exit codes:
  0    the guest shut down by itself, or when it was asked to
  1    this command failed, or how the machine ended is not known
  2    the document, a device file or an option is wrong
  3    the machine was terminated
  4    the machine ended unexpectedly: its guest crashed, or its process did
  130  Ctrl-C, 143 SIGTERM, 129 the terminal was closed

Examples:
  $ hdvkit vm run machine.json
  $ hdvkit vm run machine.json --device edu.ts --device 'nics.ts#FastNic'
  $ hdvkit vm run machine.json --json < /dev/null | jq 'select(.type != "console")'
  $ hdvkit vm run machine.json --host simulated`;
