import type { Command } from 'commander';
import type { DemoOptions } from './demo-run.ts';
import { addHostOption } from './host-option.ts';
import { positiveInteger } from './positive-integer.ts';

/** Adds `hdvkit demo`, which is `npm start`. */
export function addDemo(program: Command): void {
  const command = program
    .command('demo')
    .summary('attach a device to a machine and drive it')
    .description(
      'Attaches sample-devices/edu.ts to a machine through the HCS and HDV calls, lets a program in the guest use it, and prints what happens, ending with a histogram of MMIO latencies.',
    )
    .option(
      '--accesses <count>',
      'reads to measure; default 1000000, and 20000 in a real guest',
      positiveInteger,
    )
    .addHelpText('after', '\nExamples:\n  $ hdvkit demo\n  $ hdvkit demo --host linux');
  addHostOption(command).action(async (options: DemoOptions) => {
    const { runDemo } = await import('./demo-run.ts');
    await runDemo(options);
  });
}
