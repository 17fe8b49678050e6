import { join } from 'node:path';
import { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import { LinuxGuest, type LinuxGuestOptions } from '../../src/engines/qemu/linux-guest.ts';
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
    guestOf: async () => new LinuxGuestAccess(await agent()),
    async close() {
      await Promise.all(agents.map((connected) => connected[Symbol.asyncDispose]()));
      await binding.close();
      prepared[Symbol.dispose]();
    },
  };
}
