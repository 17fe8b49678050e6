import type { CreateRequest } from '../compute/service-access.ts';

/** Who is at the other end of a connection, as the kernel says. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** What a client wants to do with a system that is there. */
export type AccessRight =
  /** See it in an enumeration. */
  | 'list'
  /** Open a handle of it, and with that everything that handles allow. */
  | 'open';

/**
 * Decides what clients of the daemon may do. Members are called before the service does anything, in the order of the
 * client's calls. Whatever they throw is the answer: an HcsError HCS_E_ACCESS_DENIED that names who may.
 */
export interface AccessPolicy {
  /** A client has connected. Throws unless it may use the service at all. */
  admit(peer: PeerCredentials): void;
  /** Throws unless the client may create such a system. Called after the document was checked against the schema. */
  create(peer: PeerCredentials, request: CreateRequest): void;
  /** Whether the client has a right to a system; the answer to a refused open is the service's. */
  allows(
    peer: PeerCredentials,
    right: AccessRight,
    system: { readonly idNamespace: string; readonly id: string },
  ): boolean;
  /** Throws unless the client may call a function that changes the service or files (`HcsModifyServiceSettings`, ...). */
  callService(peer: PeerCredentials, name: string): void;
}
