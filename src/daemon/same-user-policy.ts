import { failure } from '../compute/failure.ts';
import type { AccessPolicy } from './access-policy.ts';

/**
 * The user of a process, and root, may do everything; nobody else anything.
 * @param uid default: the user of this process
 */
export function sameUserPolicy(uid = process.getuid?.() ?? 0): AccessPolicy {
  return {
    admit(peer) {
      if (peer.uid === uid || peer.uid === 0) return;
      throw failure(
        'hello',
        'HCS_E_ACCESS_DENIED',
        `the service is that of user ${uid}, and the client of user ${peer.uid}: start a service of your own`,
      );
    },
    create() {},
    allows: () => true,
    callService() {},
  };
}
