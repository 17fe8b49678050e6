import { randomUUID } from 'node:crypto';
import { WatchedFolder } from '../../engines/qemu/watched-folder.ts';
import type { ComputeSystem } from '../../hcs/schema/documents.ts';
import type { HostName } from '../../hosts/host.ts';
import type { CleanUp } from '../clean-up.ts';

/** A document whose first COM port can be connected to. */
export interface ConsolePort {
  readonly document: ComputeSystem;
  /** Socket or pipe of the first COM port; undefined on a host whose machines have none. */
  readonly path: string | undefined;
  /** The document named no pipe for it: one was made for this run. */
  readonly isAdded: boolean;
}

/** Finds the first COM port of a document, and adds one where it has none. */
export function consolePort(
  host: HostName,
  document: ComputeSystem,
  cleanUp: CleanUp,
): ConsolePort {
  const machine = document.VirtualMachine;
  const ports = machine?.Devices?.ComPorts ?? {};
  const [named] = Object.keys(ports)
    .sort()
    .map((key) => ports[key]?.NamedPipe)
    .filter((path) => path !== undefined && path !== '');
  if (named !== undefined) return { document, path: named, isAdded: false };
  if (machine === undefined || host === 'simulated') {
    return { document, path: undefined, isAdded: false };
  }
  const path = host === 'windows' ? `\\\\.\\pipe\\hdvkit-${randomUUID()}` : socketPath(cleanUp);
  const ComPorts = { ...ports, '0': { ...ports['0'], NamedPipe: path } };
  const Devices = { ...machine.Devices, ComPorts };
  return {
    document: { ...document, VirtualMachine: { ...machine, Devices } },
    path,
    isAdded: true,
  };
}

function socketPath(cleanUp: CleanUp): string {
  const folder = WatchedFolder.create();
  cleanUp.add(() => folder.remove());
  return folder.file('console');
}
