import type { Command } from 'commander';
import { inspectPort } from './inspector.ts';
import type { ServeOptions } from './serve-device.ts';

/** Adds `hdvkit serve`. */
export function addServe(program: Command): void {
  program
    .command('serve')
    .summary('serve a device over vfio-user, for any VMM')
    .description(
      'Listens on a Unix socket for a VMM that speaks vfio-user (QEMU 10.1.1 or later), and prints the QEMU arguments to use. One client at a time; runs until Ctrl-C.',
    )
    .argument('<file>', 'file that exports the device, .ts or .js')
    .requiredOption('--socket <path>', 'path of the socket to make')
    .option('--export <name>', 'name of the device class, where the file exports several')
    .option('--configuration <text...>', 'configuration strings for the device', [])
    .option('--trace', 'print every access, DMA, interrupt and reset')
    .option('--inspect [port]', 'open the inspector, and lift the time limits', inspectPort)
    .addHelpText(
      'after',
      '\nExample:\n  $ hdvkit serve edu.ts --socket /tmp/edu.sock\n  $ qemu-system-x86_64 …  with the arguments that are printed',
    )
    .action(async (path: string, options: ServeOptions) => {
      const { serveDevice } = await import('./serve-device.ts');
      await serveDevice(path, options);
    });
}
