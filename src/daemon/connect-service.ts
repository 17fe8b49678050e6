import type { ComputeFunctions } from '../compute/compute-functions.ts';
import type { ServiceGreeting } from './protocol.ts';

/** How a service behind a socket is found; everything has a default. */
export interface ConnectServiceOptions {
  /** Its socket. Default: see `defaultSocketPath`. */
  readonly socket?: string | undefined;
  /** Starts a daemon where none listens; false. */
  readonly startOnDemand?: boolean | StartOnDemandOptions | undefined;
  /** Milliseconds that the service may take to greet; 10,000. */
  readonly greetingLimitMs?: number | undefined;
}

/** The daemon that is started where none listens. */
export interface StartOnDemandOptions {
  readonly host?: 'linux' | 'simulated' | undefined;
  readonly stateFolder?: string | undefined;
  /** Milliseconds without clients and systems after which it ends by itself; 60,000. */
  readonly idleExitMs?: number | undefined;
}

/** A connection to a service, with the functions of the contract over it. */
export interface ServiceConnection extends AsyncDisposable {
  /** Works for as long as this connection is open; reconnects when a daemon has ended and another one has begun. */
  readonly core: ComputeFunctions;
  /** What the service said of itself. */
  readonly service: ServiceGreeting;
  /** Closes every handle of this connection, and the connection. Safe to call twice. */
  close(): Promise<void>;
}
