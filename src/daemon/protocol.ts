import type { SystemFunction } from '../compute/system-calls.ts';
import type { SystemKind } from '../compute/system-kind.ts';
import type { HCS_EVENT_TYPE } from '../hcs/core/constants.ts';
import type { ServiceFunctions } from '../hcs/core/service-functions.ts';

/**
 * What clients and the daemon say to each other: JSON-RPC 2.0, each message after a header `Content-Length: N` and an
 * empty line, as in the Language Server Protocol. Parameters are given by name. Handles and devices are numbers of the
 * client, counted up and never used twice on a connection; documents are JSON text. A failure is an error with the signed
 * HRESULT as its code and {@link WireFailure} as its data.
 *
 * A client begins with `hello`; anything else before is refused. Both ends may send as soon as they like: answers come
 * in any order, events in the order in which things happened, and before the answer of the call that caused them.
 */
export const PROTOCOL = { oldest: 1, newest: 1 } as const;

/** Longest message, in bytes without its header: documents are at most a few MiB. */
export const LONGEST_MESSAGE = 16 * 1024 * 1024;

/** Levels of objects and arrays in a message; documents are text in it, and count as none. */
export const DEEPEST_MESSAGE = 32;

/** Functions on the service and on files, whose arguments and results are text or null. */
export const SERVICE_FUNCTIONS = [
  'HcsGetServiceProperties',
  'HcsModifyServiceSettings',
  'HcsSubmitWerReport',
  'HcsCreateEmptyGuestStateFile',
  'HcsCreateEmptyRuntimeStateFile',
  'HcsGetProcessorCompatibilityFromSavedState',
  'HcsGrantVmAccess',
  'HcsRevokeVmAccess',
  'HcsGrantVmGroupAccess',
  'HcsRevokeVmGroupAccess',
] as const satisfies readonly (keyof ServiceFunctions)[];

/** Name of one of {@link SERVICE_FUNCTIONS}. */
export type ServiceFunction = (typeof SERVICE_FUNCTIONS)[number];

/** Requests of clients: parameters and result. */
export interface ClientRequests {
  hello: {
    params: {
      /** Protocol versions that the client speaks. */
      readonly oldest: number;
      readonly newest: number;
      /** Version of the client's package, for messages. */
      readonly version: string;
    };
    result: ServiceGreeting;
  };
  create: {
    params: {
      readonly handle: number;
      readonly function: string;
      readonly idNamespace: string;
      readonly id: string;
      readonly configuration: string;
      /** In the string format; null: the default. A client of an older version leaves it out. */
      readonly securityDescriptor?: string | null;
      readonly call: number;
    };
    result: null;
  };
  open: {
    params: {
      readonly handle: number;
      readonly function: string;
      readonly idNamespace: string;
      readonly id: string;
      /** Whether one that has ended is not found; by default its end is told, once. */
      readonly hasNotEnded?: boolean;
    };
    result: { readonly kind: SystemKind };
  };
  call: {
    params: {
      readonly handle: number;
      readonly function: SystemFunction;
      readonly text: string | null;
      /** The client's number of the call, for {@link ServiceNotices.begun}. */
      readonly call: number;
    };
    result: string | null;
  };
  close: { params: { readonly handle: number }; result: null };
  enumerate: {
    params: {
      readonly function: string;
      readonly idNamespace: string;
      /** SystemQuery */
      readonly query: string;
      readonly call: number;
    };
    result: string;
  };
  service: {
    params: {
      readonly function: ServiceFunction;
      readonly arguments: readonly (string | null)[];
      /**
       * With HcsGrantVmAccess: the grant lasts as long as the system, see `ServiceExtras.grantUntilEnd`. A service of an
       * older version does not heed it.
       */
      readonly untilEnd?: true;
    };
    result: string | null;
  };
  /** Announces a device of the client's process for a system that the client has an open handle of. */
  announce: {
    params: {
      readonly device: number;
      readonly systemId: string;
      readonly classId: string;
      readonly instanceId: string;
      /**
       * Whether an earlier service has powered it on, and its machine may have it: a machine that has not is told by
       * `powerOff`. A client of an older version leaves it out.
       */
      readonly isOn?: boolean;
    };
    result: null;
  };
  withdraw: { params: { readonly device: number }; result: null };
  /** Runs a guest program in a simulated machine that the client has an open handle of, until it has returned. */
  run: {
    params: {
      readonly systemId: string;
      /** URL of a file. */
      readonly program: string;
      readonly export: string;
      readonly processors: number;
      /** JSON; null: none. */
      readonly argument: string | null;
    };
    /** JSON: an array with what it returned on each processor. */
    result: string;
  };
  /** Asks the daemon to end. It needs no `hello`, so that clients of every version can end one of any other. */
  stop: {
    params: {
      /** Whether it is to end also where systems end with it. */
      readonly isSure: boolean;
    };
    result: StopAnswer;
  };
}

/** What a daemon says that was asked to end. */
export interface StopAnswer {
  /** Whether it ends: not where systems would end, and the client is not sure. */
  readonly stops: boolean;
  /** Systems that it has. */
  readonly systems: number;
  /** Whether they go on, for the next daemon. */
  readonly keepsSystems: boolean;
  /** Version of the package. */
  readonly version: string;
  readonly pid: number;
}

/** Requests of the daemon: parameters and result. */
export interface ServiceRequests {
  /** See `DeviceEndpoint.powerOn`. */
  powerOn: {
    params: { readonly device: number; readonly configuration: readonly string[] };
    result: unknown;
  };
  powerOff: { params: { readonly device: number }; result: null };
  /** Why the device has failed, if it has. */
  failure: { params: { readonly device: number }; result: WireFailure | null };
}

/** Notifications of the daemon. */
export interface ServiceNotices {
  /** An event of the system behind a handle. */
  event: {
    readonly handle: number;
    readonly type: HCS_EVENT_TYPE;
    readonly document: string;
  };
  /** The system behind a handle has ended. */
  ended: { readonly handle: number; readonly exit: string };
  /** A call has begun that takes its time: it cannot be cancelled any more, unless it is interruptible. */
  begun: { readonly call: number; readonly interruptible: boolean };
  /** The daemon cannot answer yet, as it takes systems over; told again and again until it can. */
  starting: Readonly<Record<string, never>>;
  /** The daemon is about to end the connection. */
  goodbye: {
    readonly reason: string;
    /** Whether that is because the client may not use the service. */
    readonly isRefused?: boolean;
  };
}

/** Data of an error. */
export interface WireFailure {
  /** Name of the function that failed. */
  readonly function: string;
  /** Unsigned. */
  readonly hresult: number;
  readonly reason: string;
  /** ResultError document. */
  readonly document?: string | undefined;
}

/** What a service tells of itself when a client connects. */
export interface ServiceGreeting {
  /** Version of the protocol that both ends speak from now on. */
  readonly protocol: number;
  /** Version of the package. */
  readonly version: string;
  readonly pid: number;
  /** What its systems run on. */
  readonly host: 'linux' | 'simulated';
}
