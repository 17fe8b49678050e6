import { once } from 'node:events';
import { resolve } from 'node:path';
import { VfioUserWorkerDevice } from '../device-host/vfio-user-worker-device.ts';
import { CleanUp } from './clean-up.ts';
import { openDeviceFile } from './device-file.ts';
import { type InspectOption, openInspector } from './inspector.ts';
import { showNotice } from './notices.ts';
import { qemuArguments } from './qemu-arguments.ts';
import { shellQuote } from './shell-quote.ts';
import { print, remark } from './terminal.ts';
import { TraceView } from './trace-view.ts';
import { UsageError } from './usage-error.ts';

/** What `hdvkit serve` was given. */
export interface ServeOptions {
  readonly socket: string;
  readonly export?: string;
  readonly configuration: readonly string[];
  readonly trace?: boolean;
  readonly inspect?: InspectOption;
}

/** Serves a device over vfio-user until the user interrupts. */
export async function serveDevice(path: string, options: ServeOptions): Promise<void> {
  if (process.platform !== 'linux') {
    throw new UsageError(
      `Cannot serve a device on ${process.platform}: vfio-user passes descriptors over Unix sockets of Linux`,
      'use hdvkit run, or serve it on Linux',
    );
  }
  const file = await openDeviceFile(path, options.export);
  await using cleanUp = new CleanUp();
  if (options.inspect !== undefined) openInspector(options.inspect, cleanUp);
  const trace = options.trace ? new TraceView(file, { write: remark }) : undefined;
  if (trace) cleanUp.add(() => trace.end());
  const socketPath = resolve(options.socket);
  const device = await VfioUserWorkerDevice.load({
    source: { module: file.module, exportName: file.exportName },
    socketPath: () => socketPath,
    notify: showNotice,
    ...(options.inspect !== undefined ? { stallLimitMs: 2 ** 31 - 1 } : {}),
    ...(trace ? { trace: trace.ring.memory } : {}),
  });
  cleanUp.add(() => device.close());
  await device.powerOn(options.configuration);
  const args = qemuArguments({ socketPath, unlimited: options.inspect !== undefined });
  remark(
    `Serving ${file.device.constructor.name} of ${path}. QEMU arguments, besides those of the machine:`,
  );
  print(args.map((word) => shellQuote(word)).join(' '));
  remark('Ctrl-C ends it.');
  trace?.follow();
  await once(cleanUp.signal, 'abort');
}
