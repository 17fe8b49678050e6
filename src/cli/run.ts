import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { CleanUp } from './clean-up.ts';
import { openDeviceFile } from './device-file.ts';
import { addHostOption, openHostName } from './host-option.ts';
import type { RunOptions } from './run-options.ts';
import { UsageError } from './usage-error.ts';

/** Adds `hdvkit run`. */
export function addRun(program: Command): void {
  const command = program
    .command('run')
    .summary('boot a guest with a device in it')
    .description(
      'Attaches a device to a machine and gives you the guest: a Linux shell on the serial console (host linux, Ctrl-] leaves), or a shell that reads and writes registers by name (host simulated).',
    )
    .argument('<file>', 'file that exports the device, .ts or .js')
    .option('--export <name>', 'name of the device class, where the file exports several')
    .option('--configuration <text...>', 'configuration strings for the device', [])
    .option('--command <text>', 'run this in the guest and end with its exit code')
    .option('--trace', 'print every access, DMA, interrupt and reset by name, to standard error')
    .option('--watch', 'put the changed device in the place of the old one when the file is saved')
    .option('--inspect', 'open the inspector, and lift the time limits')
    .option('--memory <MiB>', 'memory of the guest', positive)
    .option('--processors <count>', 'processors of the guest', positive)
    .option('--kernel <file>', 'a kernel of your own')
    .option('--initrd <file>', 'an initramfs of your own')
    .option('--append <text>', 'more arguments for the kernel')
    .option('--disk <file...>', 'disk images: raw, .qcow2, .vhd or .vhdx')
    .option('--share <dir>', 'a folder that the guest has as /mnt/share')
    .option('--module <file...>', 'kernel modules (.ko) to load')
    .option('--qemu <file>', 'the QEMU to use')
    .addHelpText('after', EXAMPLES);
  addHostOption(command).action(run);
}

const EXAMPLES = `
Examples:
  $ hdvkit run edu.ts                                     a shell in a Linux guest
  $ hdvkit run edu.ts --trace --command 'lspci -vv'       with every access shown, by name
  $ hdvkit run nic.ts --module nic.ko --share .           with a driver of your own
  $ hdvkit run edu.ts --host simulated --command 'read ID'`;

const LINUX_ONLY = [
  'memory',
  'processors',
  'kernel',
  'initrd',
  'append',
  'disk',
  'share',
  'module',
  'qemu',
] as const;

function positive(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('It is a positive integer.');
}

async function run(path: string, options: RunOptions): Promise<void> {
  const host = openHostName(options.host);
  if (host === 'simulated') {
    const given = LINUX_ONLY.find((name) => options[name] !== undefined);
    if (given !== undefined) {
      throw new UsageError(
        `Cannot use --${given} on the host simulated: it runs no operating system`,
        'leave it out, or use --host linux',
      );
    }
  }
  const file = await openDeviceFile(path, options.export);
  await using cleanUp = new CleanUp();
  if (host === 'linux') {
    const { runLinux } = await import('./run-linux.ts');
    await runLinux(file, options, cleanUp);
  } else {
    const { runSimulated } = await import('./run-simulated.ts');
    await runSimulated(file, options, cleanUp);
  }
}
