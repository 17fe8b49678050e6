import { connect, type Socket } from 'node:net';
import { ComputeFunctions } from '../compute/compute-functions.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { connectionFailure } from './connection-failure.ts';
import type { ServiceGreeting } from './protocol.ts';
import { RemoteService, type RemoteServiceOptions } from './remote-service.ts';
import { ANOTHER_SERVICE, requireTrusted } from './socket-owner.ts';
import { checkSocketPath, defaultSocketPath } from './socket-path.ts';
import { logPath, type StartOnDemandOptions, startDaemon } from './start-daemon.ts';

/** How a service behind a socket is found; everything has a default. */
export interface ConnectServiceOptions {
  /** Its socket. Default: see {@link defaultSocketPath}. */
  readonly socket?: string | undefined;
  /** Starts a daemon where none listens; false. */
  readonly startOnDemand?: boolean | StartOnDemandOptions | undefined;
  /** Milliseconds that the service may take to greet, and one that is starting to listen; 10,000. */
  readonly greetingLimitMs?: number | undefined;
}

/** A connection to a service, with the functions of the contract over it. */
export interface ServiceConnection extends AsyncDisposable {
  /** Works for as long as this connection is open; reconnects when a daemon has ended and another one has begun. */
  readonly core: ComputeFunctions;
  /** The service itself, for device hosts. */
  readonly remote: RemoteService;
  /** What the service said of itself. */
  readonly service: ServiceGreeting;
  /** Closes every handle of this connection, and the connection. Safe to call twice. */
  close(): Promise<void>;
}

/** See {@link ConnectServiceOptions.greetingLimitMs}. */
export const DEFAULT_GREETING_LIMIT_MS = 10_000;

/** Milliseconds between attempts to connect. */
const LOOK_MS = 10;

/**
 * Connects to the compute service of this user.
 * @throws HcsError HCS_E_SERVICE_NOT_AVAILABLE when none listens or can be started, HCS_E_ACCESS_DENIED when the socket
 * is not for this user, HCS_E_UNSUPPORTED_PROTOCOL_VERSION when the two versions have no protocol in common
 */
export async function connectService(
  options: ConnectServiceOptions = {},
): Promise<ServiceConnection> {
  const remote = openService(options);
  const service = await remote.greet();
  const close = (): Promise<void> => remote.close();
  return {
    core: new ComputeFunctions(remote),
    remote,
    service,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The service of this user, connected when it is first asked for something. */
export function openService(
  options: ConnectServiceOptions & Pick<RemoteServiceOptions, 'deviceNews'> = {},
): RemoteService {
  const { greetingLimitMs = DEFAULT_GREETING_LIMIT_MS } = options;
  return new RemoteService({
    connect: (mayStart = true) =>
      connectSocket(mayStart ? options : { ...options, startOnDemand: false }, greetingLimitMs),
    greetingLimitMs,
    deviceNews: options.deviceNews,
  });
}

/**
 * A socket that is connected to a service, which has not greeted yet.
 * @param limitMs milliseconds that one may take that is busy, or starting
 * @throws HcsError as {@link connectService}; RangeError for a path that no socket can have
 */
export async function connectSocket(
  options: ConnectServiceOptions,
  limitMs: number,
): Promise<Socket> {
  const { socket: path = defaultSocketPath(), startOnDemand = false } = options;
  checkSocketPath(path);
  requireTrusted(path);
  let end = performance.now() + limitMs;
  let isStarted = false;
  while (true) {
    try {
      return await connectTo(path);
    } catch (error) {
      const nobody = isNobody(error);
      if (nobody && startOnDemand !== false && !isStarted) {
        await startDaemon(path, startOnDemand === true ? {} : startOnDemand);
        isStarted = true;
        end = performance.now() + limitMs;
        continue;
      }
      // One that another process has started may be on its way to its socket, and one that is busy takes its time.
      const mayCome = (nobody && isStarted) || isBusy(error);
      if (!mayCome || performance.now() > end) {
        throw nobody && isStarted ? neverCame(path, limitMs, error) : cannotConnect(path, error);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function connectTo(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

/** Whether an error of {@link connectService} says that nobody listens, so that a daemon may be started. */
export function isNobodyThere(error: unknown): boolean {
  if (!(error instanceof HcsError) || error.code !== 'HCS_E_SERVICE_NOT_AVAILABLE') return false;
  return isNobody(error.cause);
}

/** Whether nobody listens there, as far as that can be told. */
function isNobody(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR';
}

/** Whether so many are waiting to be taken that no more can. */
function isBusy(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EAGAIN';
}

function cannotConnect(path: string, error: unknown): HcsError {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM') {
    const what = `the socket ${path} is not for this user`;
    return connectionFailure('HCS_E_ACCESS_DENIED', what, ANOTHER_SERVICE, error);
  }
  const [what, remedy] = isNobody(error)
    ? [`no service listens on ${path}`, 'start hcsd, or set HDVKIT_SOCKET to where it listens']
    : isBusy(error)
      ? [
          `the service on ${path} takes no more connections: ${message}`,
          'end some of its clients, or try again later',
        ]
      : [`cannot connect to ${path}: ${message}`, 'name another socket by HDVKIT_SOCKET'];
  return connectionFailure('HCS_E_SERVICE_NOT_AVAILABLE', what, remedy, error);
}

/** A service was started, by this process or another one, and did not come to its socket. */
function neverCame(path: string, limitMs: number, error: unknown): HcsError {
  const what = `a service was started, and does not listen on ${path} after ${limitMs} ms`;
  // That nobody listens would mean that one may be started.
  const cause = new Error((error as Error).message, { cause: error });
  const remedy = `${logPath(path)} says what it is doing`;
  return connectionFailure('HCS_E_SERVICE_NOT_AVAILABLE', what, remedy, cause);
}
