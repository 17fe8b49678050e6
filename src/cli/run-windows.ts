import { ComputeSystem } from '../hcs/compute-system.ts';
import type { ComputeSystem as Document } from '../hcs/schema/documents.ts';
import { useHost } from '../hosts/index.ts';
import { attachFile } from './attach-file.ts';
import type { CleanUp } from './clean-up.ts';
import type { DeviceFile } from './device-file.ts';
import { overlayDocument } from './document.ts';
import { openInspector } from './inspector.ts';
import type { RunOptions } from './run-options.ts';
import { remark } from './terminal.ts';
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
  const consolePath = consoleOf(document) ?? guest.consolePath;
  const machine = { system, binding: binding.hdv, consolePath };
  const { attachment, console, follow } = await attachFile(file, options, machine, cleanUp);
  await system.start({ signal });
  follow();
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
