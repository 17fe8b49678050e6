import type { ServiceFunctions } from '../hcs/core/service-functions.ts';
import type { SystemQuery } from '../hcs/schema/documents.ts';
import type { Cancellation } from './cancellation.ts';
import type { CreateDocument } from './create-document.ts';
import type { SystemCall } from './system-calls.ts';
import type { SystemKind } from './system-kind.ts';
import type { SystemListener } from './system-listener.ts';

/** A system behind an open handle. */
export interface SystemAccess {
  readonly kind: SystemKind;
  /** What the directory of device hosts, and the engine, call the system. */
  readonly directoryId: string;
  /** Whether the system has ended, as far as is known here. */
  readonly isOver: boolean;
  /**
   * Runs a call when its turn comes.
   * @returns the result document, or null
   * @throws HcsError how the call ended
   */
  call(call: SystemCall, cancellation: Cancellation): Promise<string | null>;
  /** Closes the handle; its listener is told nothing more. */
  close(): Promise<void>;
}

/** What a system is to be made of; arguments and document have been checked against the schema. */
export interface CreateRequest {
  /** Name of the function that was called. */
  readonly function: string;
  /** `''` for none. */
  readonly idNamespace: string;
  readonly id: string;
  /** Text of the document. */
  readonly configuration: string;
  readonly document: CreateDocument;
  /** Security descriptor in the string format; the service keeps it, and whoever lets clients in enforces it. */
  readonly securityDescriptor?: string | undefined;
  /** uid of who creates it; default: the user of the service. */
  readonly owner?: number | undefined;
}

/** A system that is being created: its handle is open from now on, whatever becomes of it. */
export interface Creation {
  readonly access: SystemAccess;
  /** Builds it. Called once, at once. @throws HcsError how the creation ended */
  build(cancellation: Cancellation): Promise<null>;
}

/** What a service does besides the functions of the contract. */
export interface ServiceExtras {
  /**
   * As HcsGrantVmAccess, for as long as there is a system of that id: taken back when that is no more, or is not created by
   * whoever asked.
   */
  grantUntilEnd(vmId: string, filePath: string, holder?: object): Promise<void>;
}

/**
 * A compute service, as the functions of the contract see it: in this process, or at the other end of a socket. It has no
 * operations; handles, arguments and documents have been looked at by whoever asks it.
 */
export interface ServiceAccess extends ServiceFunctions, ServiceExtras {
  /** @throws HcsError where the service refuses before there is anything to wait for; no handle is open then */
  create(request: CreateRequest, listener: SystemListener): Creation;
  /** @throws HcsError HCS_E_SYSTEM_NOT_FOUND */
  open(
    name: string,
    idNamespace: string,
    id: string,
    listener: SystemListener,
  ): Promise<SystemAccess>;
  /** @returns an array of Properties documents */
  enumerate(
    name: string,
    idNamespace: string,
    query: SystemQuery,
    cancellation: Cancellation,
  ): Promise<string>;
}
