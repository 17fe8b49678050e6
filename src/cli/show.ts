import type { Command } from 'commander';
import type { ShowOptions } from './show-device.ts';

/** Adds `hdvkit show`. */
export function addShow(program: Command): void {
  program
    .command('show')
    .summary("print a device's config space, BARs and registers")
    .description(
      'Prints the config space as a guest finds it after reset, decoded, then the BARs and their registers.',
    )
    .argument('<file>', 'file that exports the device, .ts or .js')
    .option('--export <name>', 'name of the device class, where the file exports several')
    .option('--raw', 'print the config space as lspci -xxxx does, and nothing else')
    .option('--json', 'print everything as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ hdvkit show edu.ts\n  $ hdvkit show edu.ts --raw > dump && lspci -F dump -vv',
    )
    .action(async (path: string, options: ShowOptions) => {
      const { showDevice } = await import('./show-device.ts');
      await showDevice(path, options);
    });
}
