import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { HcsError } from '../../../hcs/hcs-error.ts';
import { HRESULT } from '../../../hcs/hresult.ts';
import { listenOpenly } from '../../../hcs/listen-openly.ts';
import type {
  GuestConnectionInfo,
  IntegrationComponentStatus,
} from '../../../hcs/schema/documents.ts';
import { Allowance } from './allowance.ts';
import { GuestProtocolError, Procedure } from './message.ts';
import { GuestSession } from './session.ts';

/** Milliseconds that an agent may take to agree on the protocol. */
const NEGOTIATION_LIMIT_MS = 60_000;
/** Milliseconds for which the answer to a request to shut down is waited for: some agents give none. */
const ANSWER_LIMIT_MS = 5_000;
/** Milliseconds within which an agent that is well answers. */
const HEARTBEAT_LIMIT_MS = 5_000;
/** Milliseconds from the answer to one heartbeat to the question for the next. */
export const HEARTBEAT_INTERVAL_MS = 2_000;
/** Connections that are agreed with at once, the newest: any program of the guest can make one. */
const MOST_CANDIDATES = 4;
/** Connections that a guest may make at once, and in a second. */
const CONNECTIONS = [64, 16] as const;
/** Milliseconds for which nobody listens to a guest that made more. */
const REST_MS = 1_000;

/** The host's end of the guest connection of one machine: one agent is connected at a time, the first that agrees. */
export class GuestConnection {
  readonly #path: string;
  readonly #onClosed: () => void;
  readonly #heartbeatMs: number | undefined;
  /** When the agent was asked for the sign of life that it has not given yet, by performance.now(). */
  #askedAtMs: number | undefined;
  readonly #allowance = new Allowance(...CONNECTIONS);
  readonly #candidates = new Set<GuestSession>();
  readonly #forgotten = new Set<GuestSession>();
  readonly #waiting = new Set<() => void>();
  #server: Server | undefined;
  #rest: NodeJS.Timeout | undefined;
  #session: GuestSession | undefined;
  #info: GuestConnectionInfo | undefined;
  /** Why the last one was cut off, or did not come to be. */
  #problem: string | undefined;
  /** Whether that was because it did not keep to the protocol. */
  #isMismatch = false;
  #hadAgent = false;
  #hasEnded = false;

  /**
   * @param path socket on which the guest's connections arrive
   * @param onClosed called when an agent that was connected is no more
   * @param heartbeatMs milliseconds between signs of life that the agent is asked for; undefined: it is asked for none
   */
  constructor(path: string, onClosed: () => void, heartbeatMs?: number) {
    this.#path = path;
    this.#onClosed = onClosed;
    this.#heartbeatMs = heartbeatMs;
  }

  /** What the agent says of itself, as long as it is connected. */
  get info(): GuestConnectionInfo | undefined {
    return this.#info;
  }

  /** Begins to listen, unless it does. @throws Error where that cannot be */
  async listen(): Promise<void> {
    if (this.#server !== undefined) return;
    rmSync(this.#path, { force: true }); // Of a process that was killed, and had the machine before.
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    try {
      await listenOpenly(server, this.#path);
    } catch (error) {
      if (this.#server === server) this.#server = undefined;
      throw error;
    }
    server.on('error', () => undefined);
  }

  /**
   * Resolves when an agent is connected.
   * @param limit milliseconds
   * @throws HcsError HCS_E_CONNECTION_TIMEOUT when none is in time, HCS_E_CONNECTION_CLOSED when the machine ends
   */
  async connected(limit: number): Promise<void> {
    if (this.#info !== undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const isInTime = await new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), limit);
      this.#waiting.add(() => resolve(true));
    });
    clearTimeout(timer);
    if (this.#info !== undefined) return;
    const why = this.#problem === undefined ? '' : `; the last one that did: ${this.#problem}`;
    throw isInTime
      ? failure('HCS_E_CONNECTION_CLOSED', 'the machine ended before its agent was connected')
      : failure(
          'HCS_E_CONNECTION_TIMEOUT',
          `no agent in the guest connected to port 0x40000000 within ${limit} ms${why}: see that the guest has booted and runs one, or leave GuestConnection out`,
        );
  }

  /**
   * Asks the agent to shut the guest down, and resolves when it was asked.
   * @returns false when no agent is connected
   * @throws Error when the agent refuses
   */
  async shutDown(): Promise<boolean> {
    const session = this.#session;
    if (session === undefined) return false;
    let timer: NodeJS.Timeout | undefined;
    const unanswered = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ANSWER_LIMIT_MS);
      void session.closed.then(() => resolve());
    });
    try {
      await Promise.race([unanswered, session.request(Procedure.SHUTDOWN_GRACEFUL, {})]);
    } catch (error) {
      // An agent that is gone before it has answered was asked.
      if (this.#session === session) throw error;
    } finally {
      clearTimeout(timer);
    }
    return true;
  }

  /**
   * Whether the agent is there and answers, as far as is known: it is asked again and again, and nobody waits for it here.
   * @param limitMs milliseconds that an agent may take which is well
   */
  heartbeat(limitMs: number = HEARTBEAT_LIMIT_MS): IntegrationComponentStatus {
    if (this.#session === undefined) return this.#withoutAgent();
    const askedAt = this.#askedAtMs;
    if (askedAt !== undefined && performance.now() - askedAt >= limitMs) {
      return { State: 'LostCommunication', Reason: 'CommunicationTimedOut' };
    }
    // What agents do not say is how the programs of the guest are.
    return { State: 'Ok', Reason: 'Unknown' };
  }

  /** Asks an agent for signs of life, until it is no more. */
  async #beat(session: GuestSession, intervalMs: number): Promise<void> {
    while (this.#session === session) {
      this.#askedAtMs = performance.now();
      try {
        await session.ping();
      } catch {
        return; // It has ended.
      } finally {
        if (this.#session === session) this.#askedAtMs = undefined;
      }
      await delay(intervalMs, undefined, { ref: false });
    }
  }

  #withoutAgent(): IntegrationComponentStatus {
    const otherwise = this.#hadAgent ? 'FailedCommunication' : 'Unknown';
    return {
      State: this.#hadAgent ? 'LostCommunication' : 'NoContact',
      Reason: this.#isMismatch ? 'ProtocolMismatch' : otherwise,
    };
  }

  /**
   * The guest has forgotten the connections that there are. They are closed when there is another, as vhost-device-vsock
   * takes no news of them while the guest's driver is not up.
   */
  forget(): void {
    for (const candidate of this.#candidates) this.#forgotten.add(candidate);
    const session = this.#session;
    if (session === undefined) return;
    this.#forgotten.add(session);
    this.#sessionEnded(session);
  }

  /** Ends the connections that there are. */
  drop(): void {
    this.forget();
    this.#closeForgotten();
  }

  /** The machine has ended. */
  close(): void {
    this.#hasEnded = true;
    clearTimeout(this.#rest);
    this.#server?.close();
    this.drop();
    this.#wake();
  }

  #accept(socket: Socket): void {
    if (!this.#allowance.take()) {
      socket.destroy();
      this.#takeRest();
      return;
    }
    if (this.#session !== undefined) {
      socket.destroy();
      return;
    }
    const [oldest] = this.#candidates;
    if (this.#candidates.size >= MOST_CANDIDATES) oldest?.close();
    void this.#agree(new GuestSession(socket));
  }

  async #agree(session: GuestSession): Promise<void> {
    this.#candidates.add(session);
    const timer = setTimeout(() => session.close(), NEGOTIATION_LIMIT_MS);
    try {
      const info = await session.negotiate();
      if (this.#session !== undefined || this.#hasEnded || this.#forgotten.has(session)) {
        session.close();
        return;
      }
      this.#closeForgotten();
      this.#session = session;
      this.#info = info;
      this.#hadAgent = true;
      this.#isMismatch = false;
      void session.closed.then((violation) => {
        if (violation !== undefined) this.#failed(violation);
        this.#sessionEnded(session);
      });
      if (this.#heartbeatMs !== undefined) void this.#beat(session, this.#heartbeatMs);
      this.#wake();
    } catch (error) {
      this.#failed(error as Error);
      session.close();
    } finally {
      clearTimeout(timer);
      this.#candidates.delete(session);
      this.#forgotten.delete(session);
    }
  }

  /** Keeps why an agent is not there, for who asks for it. */
  #failed(error: Error): void {
    this.#problem = error.message;
    this.#isMismatch = error instanceof GuestProtocolError;
  }

  #sessionEnded(session: GuestSession): void {
    if (this.#session !== session) return;
    this.#session = undefined;
    this.#info = undefined;
    this.#onClosed();
  }

  #closeForgotten(): void {
    for (const session of this.#forgotten) session.close();
    this.#forgotten.clear();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Has the connections of a guest that makes too many refused before they cost anything here. */
  #takeRest(): void {
    const server = this.#server;
    if (server === undefined || this.#hasEnded) return;
    this.#server = undefined;
    this.#problem = 'it made too many connections';
    server.close();
    this.#rest = setTimeout(() => {
      this.listen().catch((error: Error) => {
        this.#problem = error.message;
      });
    }, REST_MS);
  }
}

function failure(
  code: 'HCS_E_CONNECTION_TIMEOUT' | 'HCS_E_CONNECTION_CLOSED',
  message: string,
): HcsError {
  return new HcsError({ function: 'HcsStartComputeSystem', hresult: HRESULT[code], message });
}
