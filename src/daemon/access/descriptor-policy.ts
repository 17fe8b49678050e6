import { failure } from '../../compute/failure.ts';
import type { CreateRequest } from '../../compute/service-access.ts';
import type { AccessPolicy, AccessRight, PeerCredentials, SystemName } from '../access-policy.ts';
import { type AccessMask, Right } from './access-mask.ts';
import { type Account, descriptorFor, mayAccess, ownerOnly } from './may-access.ts';
import { SddlError } from './sddl-error.ts';
import { formatSddl, parseSddl, type SecurityDescriptor } from './security-descriptor.ts';
import { groupSid, type Sid } from './sid.ts';

/** What a {@link DescriptorPolicy} decides by. */
export interface DescriptorPolicyOptions {
  /**
   * Who may use the service, as a security descriptor: reading is to connect and to look at the service, writing to create
   * systems, all is to change the service and files. Default: the user of this process, and root, all of it.
   */
  readonly service?: string | undefined;
  /** Id of a group whose members may connect besides. */
  readonly group?: number | undefined;
  /** Security descriptor of a system; undefined where there is no such system. */
  readonly descriptorOf: (system: SystemName) => string | undefined;
}

/** What each right of a client takes of a system's descriptor. */
const RIGHTS: Readonly<Record<AccessRight, AccessMask>> = {
  read: Right.READ,
  write: Right.WRITE,
  execute: Right.EXECUTE,
  delete: Right.DELETE,
};
const NAMES = Object.keys(RIGHTS) as readonly AccessRight[];

/**
 * Lets clients do what security descriptors say: one of the service, and one of each system. A system whose descriptor
 * cannot be read is nobody's.
 */
export class DescriptorPolicy implements AccessPolicy {
  readonly #service: SecurityDescriptor;
  readonly #descriptorOf: DescriptorPolicyOptions['descriptorOf'];
  /** The last answer: most systems of a list have the same descriptor, that of their owner. */
  #last:
    | {
        readonly sddl: string;
        readonly peer: PeerCredentials;
        readonly rights: ReadonlySet<AccessRight>;
      }
    | undefined;

  /** @throws SddlError for a descriptor of the service that cannot be honoured */
  constructor({ service, group, descriptorOf }: DescriptorPolicyOptions) {
    const uid = process.getuid?.() ?? 0;
    const gid = process.getgid?.() ?? 0;
    const given = service === undefined ? ownerOnly({ uid, gid, groups: [] }) : parseSddl(service);
    this.#service = group === undefined ? given : withReader(given, groupSid(group));
    this.#descriptorOf = descriptorOf;
  }

  admit(peer: PeerCredentials): void {
    this.#require(peer, Right.READ, 'hello', 'use the service');
  }

  create(peer: PeerCredentials, request: CreateRequest): string {
    const { function: name, securityDescriptor } = request;
    this.#require(peer, Right.WRITE, name, 'create systems');
    try {
      return descriptorFor(accountOf(peer), securityDescriptor);
    } catch (error) {
      if (!(error instanceof SddlError)) throw error;
      throw failure(name, 'E_INVALIDARG', `the security descriptor: ${error.message}`);
    }
  }

  rights(peer: PeerCredentials, system: SystemName): ReadonlySet<AccessRight> | undefined {
    const sddl = this.#descriptorOf(system);
    if (sddl === undefined) return undefined;
    if (this.#last?.sddl !== sddl || this.#last.peer !== peer) {
      this.#last = { sddl, peer, rights: rightsOf(sddl, accountOf(peer)) };
    }
    return this.#last.rights;
  }

  callService(peer: PeerCredentials, name: string): void {
    const isLook = name === 'HcsGetServiceProperties';
    const what = isLook ? 'look at the service' : 'change the service';
    this.#require(peer, isLook ? Right.READ : Right.ALL, name, what);
  }

  #require(peer: PeerCredentials, right: AccessMask, name: string, what: string): void {
    if (mayAccess(this.#service, accountOf(peer), right)) return;
    throw failure(
      name,
      'HCS_E_ACCESS_DENIED',
      `user ${peer.uid} may not ${what}: who may is said by its security descriptor, ${formatSddl(this.#service)}`,
    );
  }
}

function withReader(descriptor: SecurityDescriptor, sid: Sid): SecurityDescriptor {
  const { entries = [] } = descriptor;
  if (entries === 'everyone') return descriptor;
  const reader = { type: 'allow', isInheritOnly: false, mask: Right.READ, sid } as const;
  return { ...descriptor, entries: [...entries, reader] };
}

function accountOf({ uid, gid, groups = [] }: PeerCredentials): Account {
  return { uid, gid, groups };
}

function rightsOf(sddl: string, account: Account): ReadonlySet<AccessRight> {
  let descriptor: SecurityDescriptor;
  try {
    descriptor = parseSddl(sddl);
  } catch {
    return new Set();
  }
  return new Set(NAMES.filter((right) => mayAccess(descriptor, account, RIGHTS[right])));
}
