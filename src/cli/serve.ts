import { once } from 'node:events';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { VfioUserWorkerDevice } from '../device-host/vfio-user-worker-device.ts';
import { CleanUp } from './clean-up.ts';
import { openDeviceFile } from './device-file.ts';
import { openInspector } from './inspector.ts';
import { showNotice } from './notices.ts';
import { qemuArguments, shellQuote } from './qemu-arguments.ts';
import { print, remark } from './terminal.ts';
import { TraceView } from './trace-view.ts';

interface ServeOptions {
  readonly socket: string;
  readonly export?: string;
  readonly configuration: readonly string[];
  readonly trace?: boolean;
  readonly inspect?: boolean;
}

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
    .option('--inspect', 'open the inspector, and lift the time limits')
    .addHelpText(
      'after',
      '\nExample:\n  $ hdvkit serve edu.ts --socket /tmp/edu.sock\n  $ qemu-system-x86_64 …  with the arguments that are printed',
    )
    .action(serve);
}

async function serve(path: string, options: ServeOptions): Promise<void> {
  const file = await openDeviceFile(path, options.export);
  await using cleanUp = new CleanUp();
  if (options.inspect) openInspector(cleanUp);
  const trace = options.trace ? new TraceView(file, { write: remark }) : undefined;
  if (trace) cleanUp.add(() => trace.end());
  const socketPath = resolve(options.socket);
  const device = await VfioUserWorkerDevice.load({
    source: { module: file.module, exportName: file.exportName },
    socketPath: () => socketPath,
    notify: showNotice,
    ...(options.inspect ? { stallLimitMs: 2 ** 31 - 1 } : {}),
    ...(trace ? { trace: trace.ring.memory } : {}),
  });
  cleanUp.add(() => device.close());
  await device.powerOn(options.configuration);
  const args = qemuArguments({ socketPath, unlimited: options.inspect === true });
  remark(
    `Serving ${file.device.constructor.name} of ${path}. QEMU arguments, besides those of the machine:`,
  );
  print(args.map(shellQuote).join(' '));
  remark('Ctrl-C ends it.');
  trace?.follow();
  await once(cleanUp.signal, 'abort');
}
