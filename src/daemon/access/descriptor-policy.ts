import { failure } from '../../compute/failure.ts';
import type { CreateRequest } from '../../compute/service-access.ts';
import type { AccessPolicy, AccessRight, PeerCredentials, SystemName } from '../access-policy.ts';
import { type AccessMask, Right } from './access-mask.ts';
import { type Account, descriptorFor, mayAccess, ownerOnly } from './may-access.ts';
import { SddlError } from './sddl-error.ts';
import { formatSddl, parseSddl } from './security-descriptor.ts';

/** What a {@link DescriptorPolicy} decides by. */
export interface DescriptorPolicyOptions {
  /**
   * Who may use the service, as a security descriptor: reading is to connect, writing to create systems, all is to change
   * the service and files. Default: the user of this process, and root, all of it.
   */
  readonly service?: string | undefined;
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
    return new Set(NAMES.filter((right) => may(sddl, peer, RIGHTS[right])));
  }

  callService(peer: PeerCredentials, name: string): void {
    this.#require(peer, Right.ALL, name, 'change the service');
  }

  #require(peer: PeerCredentials, right: AccessMask, name: string, what: string): void {
    if (may(this.#service, peer, right)) return;
    throw failure(
      name,
      'HCS_E_ACCESS_DENIED',
      `user ${peer.uid} may not ${what}: who may is said by its security descriptor, ${this.#service}`,
    );
  }
}

function accountOf({ uid, gid, groups = [] }: PeerCredentials): Account {
  return { uid, gid, groups };
}

function may(sddl: string, peer: PeerCredentials, right: AccessMask): boolean {
  try {
    return mayAccess(parseSddl(sddl), accountOf(peer), right);
  } catch {
    return false;
  }
}
