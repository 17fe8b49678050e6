import { failure } from '../../compute/failure.ts';
import type { CreateRequest } from '../../compute/service-access.ts';
import type { AccessPolicy, AccessRight, PeerCredentials } from '../access-policy.ts';
import { type AccessMask, Right } from './access-mask.ts';
import { type Account, mayAccess, ownerOnly } from './may-access.ts';
import { formatSddl, parseSddl } from './security-descriptor.ts';

/** What a {@link DescriptorPolicy} decides by. */
export interface DescriptorPolicyOptions {
  /**
   * Who may use the service, as a security descriptor: reading is to connect, writing to create systems, all is to change
   * the service and files. Default: the user of this process, and root, all of it.
   */
  readonly service?: string | undefined;
  /** Security descriptor of a system; undefined where there is no such system. */
  readonly descriptorOf: (system: {
    readonly idNamespace: string;
    readonly id: string;
  }) => string | undefined;
}

/** A client, with its supplementary groups where they are known. */
type Client = PeerCredentials & { readonly groups?: readonly number[] };

/** What each right of a client takes of a system's descriptor; a handle allows everything. */
const RIGHTS: Readonly<Record<AccessRight, AccessMask>> = { list: Right.READ, open: Right.ALL };

/**
 * Lets clients do what security descriptors say: one of the service, and one of each system. A system whose descriptor
 * cannot be read is nobody's.
 */
export class DescriptorPolicy implements AccessPolicy {
  readonly #service: string;
  readonly #descriptorOf: DescriptorPolicyOptions['descriptorOf'];

  /** @throws SddlError for a descriptor of the service that cannot be honoured */
  constructor({ service, descriptorOf }: DescriptorPolicyOptions) {
    const uid = process.getuid?.() ?? 0;
    const gid = process.getgid?.() ?? 0;
    const own = formatSddl(ownerOnly({ uid, gid, groups: [] }));
    this.#service = service ?? own;
    parseSddl(this.#service);
    this.#descriptorOf = descriptorOf;
  }

  admit(peer: Client): void {
    this.#require(peer, Right.READ, 'hello', 'use the service');
  }

  create(peer: Client, request: CreateRequest): void {
    this.#require(peer, Right.WRITE, request.function, 'create systems');
  }

  allows(
    peer: Client,
    right: AccessRight,
    system: { readonly idNamespace: string; readonly id: string },
  ): boolean {
    const sddl = this.#descriptorOf(system);
    return sddl !== undefined && may(sddl, peer, RIGHTS[right]);
  }

  callService(peer: Client, name: string): void {
    this.#require(peer, Right.ALL, name, 'change the service');
  }

  #require(peer: Client, right: AccessMask, name: string, what: string): void {
    if (may(this.#service, peer, right)) return;
    throw failure(
      name,
      'HCS_E_ACCESS_DENIED',
      `user ${peer.uid} may not ${what}: who may is said by its security descriptor, ${this.#service}`,
    );
  }
}

function may(sddl: string, { uid, gid, groups = [] }: Client, right: AccessMask): boolean {
  const account: Account = { uid, gid, groups };
  try {
    return mayAccess(parseSddl(sddl), account, right);
  } catch {
    return false;
  }
}
