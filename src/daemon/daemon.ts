import type { Socket } from 'node:net';
import type { DeviceDirectory } from '../compute/device-directory.ts';
import type { ServedService } from '../compute/served-service.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { DescriptorPolicy } from './access/descriptor-policy.ts';
import type { AccessPolicy, PeerCredentials } from './access-policy.ts';
import type { GuestPrograms } from './guest-programs.ts';
import { noticeFrame } from './notice-frame.ts';
import { packageVersion } from './package-version.ts';
import type { ServiceGreeting } from './protocol.ts';
import { type CallRecord, Session, type SessionContext } from './session.ts';

/** What a {@link Daemon} is made of. */
export interface DaemonOptions {
  readonly service: ServedService;
  /** The directory of the service's engines. */
  readonly directory: DeviceDirectory;
  readonly host: ServiceGreeting['host'];
  /** What runs guest programs in the service's machines, where they do. */
  readonly programs?: GuestPrograms | undefined;
  /** Who is at the other end of a socket. */
  readonly peerOf: (socket: Socket) => PeerCredentials;
  /**
   * What clients may do. Default: the user of this process and root may use the service, and do with each system what its
   * security descriptor says.
   */
  readonly policy?: AccessPolicy | undefined;
  /** Where calls are recorded. */
  readonly audit?: CallRecord | undefined;
  /** Takes a line for each client that comes, goes or is put out. */
  readonly log?: ((line: string) => void) | undefined;
  /** Milliseconds without clients and systems after which {@link DaemonOptions.idle} is called. */
  readonly idleLimitMs?: number | undefined;
  readonly idle?: (() => void) | undefined;
  /** How clients that may change the service can end it. Default: they cannot. */
  readonly stop?: DaemonStop | undefined;
  /** See {@link SessionContext}. */
  readonly waitingLimit?: number | undefined;
  /** Milliseconds in which a client has to say hello; 10,000. */
  readonly helloLimitMs?: number | undefined;
}

/** What becomes of a daemon that a client ends. */
export interface DaemonStop {
  /** Whether the systems go on, for another daemon. */
  readonly keepsSystems: boolean;
  /** Called once the client has its answer. @param reason for people */
  readonly now: (reason: string) => void;
}

const DEFAULT_HELLO_LIMIT_MS = 10_000;

/** Milliseconds for which a client that is not let in may read why. */
const REFUSAL_MS = 1_000;

/** A compute service for the clients of sockets: one session for each, none of which can hold up another. */
export class Daemon {
  readonly #options: DaemonOptions;
  readonly #context: SessionContext;
  readonly #sessions = new Set<Session>();
  #idleTimer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: DaemonOptions) {
    const { service, directory, host, waitingLimit, audit } = options;
    const descriptorOf = service.descriptorOf.bind(service);
    const { policy = new DescriptorPolicy({ descriptorOf }) } = options;
    this.#options = options;
    this.#context = {
      service,
      directory,
      hasSystem: (system) => service.hasSystem(system),
      hasDevice: (key) => service.hasDevice(key),
      programs: options.programs,
      policy,
      audit,
      waitingLimit,
      revokeUnlessThere: service.revokeUnlessThere.bind(service),
      greeting: { version: packageVersion(), pid: process.pid, host },
      helloLimitMs: options.helloLimitMs ?? DEFAULT_HELLO_LIMIT_MS,
      stop: options.stop && stopper(options.stop, service),
    };
    this.#watchIdle();
  }

  /** Clients that are connected. */
  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Handles that clients hold. */
  get handleCount(): number {
    let count = 0;
    for (const session of this.#sessions) count += session.handleCount;
    return count;
  }

  /** Serves a client that has connected, for as long as it stays. */
  serve(socket: Socket): void {
    const { peerOf, log } = this.#options;
    if (this.#isClosed) {
      socket.destroy();
      return;
    }
    let peer: PeerCredentials;
    try {
      peer = peerOf(socket);
      this.#context.policy.admit(peer);
    } catch (error) {
      const reason = error instanceof HcsError ? error.reason : String(error);
      refuse(socket, reason);
      log?.(`refused a client: ${reason}`);
      return;
    }
    const who = `client ${peer.pid} of user ${peer.uid}`;
    const session = new Session(socket, peer, this.#context, (ended, reason) => {
      this.#sessions.delete(ended);
      log?.(`${who} has gone: ${reason}`);
      this.#watchIdle();
    });
    this.#sessions.add(session);
    log?.(`${who} has come`);
  }

  /**
   * Ends every system, and then every session. Safe to call twice.
   * @param reason what clients are told
   * @param options.keep systems are left alone, for another daemon
   */
  async close(reason: string, { keep = false }: { readonly keep?: boolean } = {}): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#idleTimer);
    const { service } = this.#options;
    await (keep ? service.leave() : service[Symbol.asyncDispose]());
    for (const session of this.#sessions) session.close(reason);
  }

  #watchIdle(): void {
    const { idleLimitMs, idle, service } = this.#options;
    clearTimeout(this.#idleTimer);
    if (idleLimitMs === undefined || this.#isClosed || this.#sessions.size > 0) return;
    this.#idleTimer = setTimeout(() => {
      if (this.#sessions.size > 0) return;
      // Systems that nobody holds go on, and may end by themselves.
      if (service.systemCount > 0) this.#watchIdle();
      else idle?.();
    }, idleLimitMs);
  }
}

/** What a session does when its client ends the daemon. */
function stopper(
  { keepsSystems, now }: DaemonStop,
  service: ServedService,
): NonNullable<SessionContext['stop']> {
  return (reason, isSure) => {
    const systems = service.systemCount;
    const stops = isSure || keepsSystems || systems === 0;
    // The answer is on its way by then.
    if (stops) setImmediate(() => now(reason));
    return { stops, systems, keepsSystems };
  };
}

/** Tells a client why it is not let in, and has nothing of what it says. */
function refuse(socket: Socket, reason: string): void {
  socket.on('error', () => {}); // 'close' follows.
  // Whoever finds the connection closed when it says hello does not read why.
  socket.resume();
  socket.end(noticeFrame('goodbye', { reason, isRefused: true }));
  const timer = setTimeout(() => socket.destroy(), REFUSAL_MS);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
}
