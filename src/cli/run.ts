import type { Command } from 'commander';
import { addHostOption } from './host-option.ts';
import { inspectPort } from './inspector.ts';
import { positiveInteger } from './positive-integer.ts';
import type { RunOptions } from './run-options.ts';

/** Adds `hdvkit run`. */
export function addRun(program: Command): void {
  const command = program
    .command('run')
    .summary('boot a guest with a device in it')
    .description(
      'Attaches a device to a machine and gives you the guest: a Linux shell on the serial console (host linux, Ctrl-] leaves), the serial console of your own guest (host windows: --kernel, or --disk), or a shell that reads and writes registers by name (host simulated).',
    )
    .argument('<file>', 'file that exports the device, .ts or .js')
    .option('--export <name>', 'name of the device class, where the file exports several')
    .option('--configuration <text...>', 'configuration strings for the device', [])
    .option('--command <text>', 'run this in the guest and end with its exit code')
    .option('--trace', 'print every access, DMA, interrupt and reset by name, to standard error')
    .option('--watch', 'put the changed device in the place of the old one when the file is saved')
    .option('--inspect [port]', 'open the inspector, and lift the time limits', inspectPort)
    .option('--memory <MiB>', 'memory of the guest', positiveInteger)
    .option('--processors <count>', 'processors of the guest', positiveInteger)
    .option('--kernel <file>', 'a kernel of your own')
    .option('--initrd <file>', 'an initramfs of your own')
    .option('--append <text>', 'more arguments for the kernel')
    .option('--disk <file...>', 'disk images: raw, .qcow2, .vhd or .vhdx')
    .option('--share <dir>', 'a folder that the guest has as /mnt/share')
    .option('--module <file...>', 'kernel modules (.ko) to load')
    .option('--qemu <file>', 'the QEMU to use')
    .option('--document <file>', 'a ComputeSystem document (JSON) to lay over the one made here')
    .addHelpText('after', EXAMPLES);
  addHostOption(command).action(async (path: string, options: RunOptions) => {
    const { runDevice } = await import('./run-device.ts');
    await runDevice(path, options);
  });
}

const EXAMPLES = `
Without --command the exit code says whether this command failed, not with what the guest's shell ended: that ends the
guest, which tells no code. With --watch a register keeps the value that it had, also when its reset value was edited.

Examples:
  $ hdvkit run edu.ts                                     a shell in a Linux guest
  $ hdvkit run edu.ts --trace --command 'lspci -vv'       with every access shown, by name
  $ hdvkit run nic.ts --module nic.ko --share .           with a driver of your own
  $ hdvkit run edu.ts --host simulated --command 'read ID'
  $ hdvkit run edu.ts --host windows --kernel vmlinux --initrd initrd.img --trace`;
