import { existsSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { filesOf, needsGrants } from '../../src/cli/vm/grant-files.ts';
import { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import { LinuxGuest, type LinuxGuestOptions } from '../../src/engines/qemu/linux-guest.ts';
import type { ComputeCore } from '../../src/hcs/compute-core.ts';
import type { ComputeSystem } from '../../src/hcs/schema/documents.ts';
import type { HostBinding } from '../../src/hosts/host.ts';
import { createLinuxHost, type LinuxHostOptions } from '../../src/hosts/linux/host.ts';
import { LinuxGuestAccess } from '../../src/testing/linux-guest-access.ts';
import type { TestHost } from '../host/conformance.ts';

/** The linux host for tests: its guests answer to their control agent. */
export interface LinuxTestHost extends TestHost {
  readonly binding: HostBinding;
  /** Waits until the guest of the latest document has booted. */
  agent(): Promise<GuestAgent>;
}

/** Longest that a guest may take to boot on a loaded machine. */
const BOOT_LIMIT_MS = 170_000;

/** Prepares a guest; every document is for a machine of its own, with sockets of its own. */
export async function openLinuxHost(
  guestOptions: LinuxGuestOptions = {},
  hostOptions: LinuxHostOptions = {},
): Promise<LinuxTestHost> {
  const binding = createLinuxHost(hostOptions);
  const prepared = await LinuxGuest.prepare({ memory: 256, ...guestOptions });
  const agents: GuestAgent[] = [];
  let machines = 0;
  const socket = (name: string): string => join(prepared.agentPath, '..', `${name}${machines}`);
  const agent = async (): Promise<GuestAgent> => {
    const connected = await GuestAgent.connect(socket('agent'), {
      signal: AbortSignal.timeout(BOOT_LIMIT_MS),
    });
    agents.push(connected);
    return connected;
  };
  return {
    binding,
    document() {
      machines++;
      const document = { ...structuredClone(prepared.document) };
      const { Devices } = document.VirtualMachine as { Devices: Record<string, unknown> };
      Devices.ComPorts = {
        '0': { NamedPipe: socket('console') },
        '1': { NamedPipe: socket('agent') },
      };
      return document;
    },
    agent,
    prepare: (id, document) => grantDocument(binding.computeCore, id, document),
    guestOf: async () => new LinuxGuestAccess(await agent()),
    async close() {
      await Promise.all(agents.map((connected) => connected[Symbol.asyncDispose]()));
      await binding.close();
      prepared[Symbol.dispose]();
    },
  };
}

/** Lets a machine open the files of its document, where machines have accounts of their own. */
export async function grantDocument(
  core: ComputeCore,
  id: string,
  document: ComputeSystem,
): Promise<void> {
  if (!needsGrants('linux')) return;
  // What is not there is told when the machine is made.
  const files = filesOf(document).filter((path) => isAbsolute(path) && existsSync(path));
  for (const path of files) await core.HcsGrantVmAccess(id, path);
}
