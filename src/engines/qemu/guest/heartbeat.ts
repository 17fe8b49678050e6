import type { IntegrationComponentStatus } from '../../../hcs/schema/documents.ts';
import type { LiveMachine } from '../live-machine.ts';

/** States of QEMU in which a guest that is well does not answer (query-status). */
const AT_REST: ReadonlySet<string> = new Set(['paused', 'postmigrate']);

/**
 * The property ICHeartbeatStatus: what the agent of the guest has answered last, where the document has Services.Heartbeat.
 * A paused guest is at rest, whatever its agent says.
 */
export async function heartbeatStatus({
  plan,
  qmp,
  guestConnection,
}: LiveMachine): Promise<IntegrationComponentStatus> {
  if (plan.hvSocket?.hasHeartbeat !== true) return { IsEnabled: false };
  const { status } = (await qmp.execute('query-status')) as { readonly status: string };
  if (AT_REST.has(status)) return { IsEnabled: true, State: 'Dormant', Reason: 'Unknown' };
  return { IsEnabled: true, ...guestConnection?.heartbeat() };
}
