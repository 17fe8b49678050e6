import { ComputeSystem } from '../hcs/compute-system.ts';
import type { ComputeSystem as Document } from '../hcs/schema/documents.ts';
import { DeviceHost } from '../hdv/device-host.ts';
import { useHost } from '../hosts/index.ts';
import type { CleanUp } from './clean-up.ts';
import type { DeviceFile } from './device-file.ts';
import { overlayDocument } from './document.ts';
import { GuestConsole } from './guest-console.ts';
import { openInspector } from './inspector.ts';
import { liveReload } from './live-reload.ts';
import { showNotice } from './notices.ts';
import type { RunOptions } from './run-options.ts';
import { remark } from './terminal.ts';
import { TraceView } from './trace-view.ts';
import { UsageError } from './usage-error.ts';
import { windowsGuest } from './windows/guest-document.ts';

/** What needs our agent in the guest, or QEMU. */
const NOT_HERE = ['command', 'share', 'module', 'qemu'] as const;

/** The device in a machine of Hyper-V, with the serial console of the guest that the user brings on this terminal. */
export async function runWindows(
  file: DeviceFile,
  options: RunOptions,
  cleanUp: CleanUp,
): Promise<void> {
  const given = NOT_HERE.find((name) => options[name] !== undefined);
  if (given !== undefined) {
    throw new UsageError(
      `Cannot use --${given} on the host windows: the guest there is your own`,
      'leave it out, or use --host linux on Linux',
    );
  }
  const { signal } = cleanUp;
  const binding = useHost('windows');
  cleanUp.add(() => binding.close());
  if (options.inspect !== undefined) openInspector(options.inspect, cleanUp);
  const guest = windowsGuest(options);
  const core = binding.computeCore;
  const document = overlayDocument(guest.document, options.document);
  const id = crypto.randomUUID();
  const system = cleanUp.use(await ComputeSystem.create(id, document, { core, signal }));
  for (const path of guest.files) await core.HcsGrantVmAccess(id, path);
  const devices = cleanUp.use(
    await DeviceHost.create(system, { binding: binding.hdv, report: showNotice }),
  );
  const console = new GuestConsole(consoleOf(document) ?? guest.consolePath);
  cleanUp.add(() => console.close());
  const trace = options.trace
    ? new TraceView(file, { write: (line) => console.remark(line) })
    : undefined;
  if (trace) cleanUp.add(() => trace.end());
  const attachment = await devices.attach(file.module, {
    configuration: options.configuration,
    signal,
    ...(file.exportName === undefined ? {} : { export: file.exportName }),
    ...(trace ? { trace: trace.ring.memory } : {}),
  });
  await system.start({ signal });
  trace?.follow();
  if (options.watch) {
    const { path } = file;
    const say = (line: string): void => console.remark(line);
    cleanUp.add(liveReload({ path, devices, attachment, remark: say }));
  }
  remark(
    `Started a machine with ${attachment.name}${process.stdin.isTTY ? '; Ctrl-] leaves' : ''}`,
  );
  // The pipe is the machine's: it is there once the machine runs.
  await Promise.race([console.connectWhenThere(signal), system.exited]);
  await console.interact(system.exited, undefined, signal);
}

/** A document of the user may name another pipe. */
function consoleOf({ VirtualMachine: machine }: Document): string | undefined {
  return machine?.Devices?.ComPorts?.['0']?.NamedPipe;
}
