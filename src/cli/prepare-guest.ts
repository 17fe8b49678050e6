import type { HostName } from '../hosts/host.ts';
import type { GuestSetup } from './guest-session.ts';

/**
 * Finds out what a guest on a host needs; the code of a host is loaded only for that host.
 * @throws ProvisionError when something is missing that only the user can provide
 */
export async function prepareGuest(host: HostName): Promise<GuestSetup> {
  if (host === 'linux') {
    const { prepareLinuxGuest } = await import('./linux-guest.ts');
    return await prepareLinuxGuest();
  }
  if (host === 'windows') {
    const { windowsGuest } = await import('./windows/guest-document.ts');
    const { document } = windowsGuest({ configuration: [], memory: 512 });
    return { document, [Symbol.dispose]() {} };
  }
  const { prepareSimulatedGuest } = await import('./simulated-guest.ts');
  return prepareSimulatedGuest();
}
