import { rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { CallOptions } from './call.ts';
import type { ComputeSystem } from './compute-system.ts';
import { HcsError } from './hcs-error.ts';
import { HRESULT, type HresultName } from './hresult.ts';
import { listenOpenly } from './listen-openly.ts';
import { vsockPort, vsockServiceId } from './vsock-service-id.ts';

/** What a host says of the Hyper-V sockets of a machine: the property `HvSocket`. */
interface HvSocketProperty {
  /** Unix socket on which `CONNECT port\n` is answered by `OK number\n` and what the guest sends. */
  readonly Socket: string;
  /** By the ids of services, where a program of the host listens for the guest. */
  readonly ServiceTable: Readonly<Record<string, { readonly Listen: string }>>;
}

/** Bytes of the longest answer to a connection. */
const LONGEST_ANSWER = 32;
const NEWLINE = 10;

/**
 * Connects to a service that listens in the guest of a system: on Linux a vsock port, which the guest's program listens on
 * and the document's ServiceTable has, by {@link vsockServiceId}. The connection stays when the service is removed; a guest
 * that starts again forgets it without a word.
 *
 * @returns the connection, which is the caller's to end; ending one direction ends both
 * @throws HcsError HCS_E_CONNECT_FAILED when nobody listens there, ERROR_NOT_FOUND for a service that the machine does not
 * have, ERROR_NOT_SUPPORTED on a host without such sockets
 */
export async function connectHvSocket(
  system: ComputeSystem,
  serviceId: string,
  { signal }: CallOptions = {},
): Promise<Socket> {
  const { Socket: path } = await serviceOf('connectHvSocket', system, serviceId, signal);
  const socket = connect(path);
  const abort = (): void => void socket.destroy(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    socket.write(`CONNECT ${vsockPort(serviceId)}\n`);
    await answered(socket);
    return socket;
  } catch (error) {
    socket.destroy();
    signal?.throwIfAborted();
    const message = `Cannot connect to service ${serviceId} of ${system.id}: nobody in the guest listens on its port, or the guest has no driver for virtio-vsock (yet)`;
    throw failure('connectHvSocket', 'HCS_E_CONNECT_FAILED', message, error);
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/**
 * Listens for connections of a system's guest to a service: on Linux those to the vsock port of CID 2. One program at a
 * time listens to a service of a machine.
 *
 * @returns the server, with `'connection'` events; it is the caller's to close, also when the machine has ended
 * @throws HcsError ERROR_SHARING_VIOLATION when somebody listens already; otherwise as {@link connectHvSocket}
 */
export async function listenHvSocket(
  system: ComputeSystem,
  serviceId: string,
  { signal }: CallOptions = {},
): Promise<Server> {
  const { Listen: path } = await serviceOf('listenHvSocket', system, serviceId, signal);
  const server = createServer();
  try {
    await listenOpenly(server, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    if (await isListening(path)) {
      const message = `Cannot listen to service ${serviceId} of ${system.id}: a program listens already`;
      throw failure('listenHvSocket', 'ERROR_SHARING_VIOLATION', message, error);
    }
    rmSync(path, { force: true }); // Of a program that was killed.
    await listenOpenly(server, path);
  }
  return server;
}

async function serviceOf(
  name: string,
  system: ComputeSystem,
  serviceId: string,
  signal: AbortSignal | undefined,
): Promise<{ readonly Socket: string; readonly Listen: string }> {
  const port = vsockPort(serviceId);
  if (port === undefined) {
    const message = `Cannot use service ${serviceId}: only vsock ports are services on this host; make the id by vsockServiceId(port)`;
    throw failure(name, 'E_INVALIDARG', message);
  }
  const options = signal === undefined ? {} : { signal };
  const { PropertyResponses } = await system.properties({ Queries: { HvSocket: {} } }, options);
  const answer = PropertyResponses?.HvSocket;
  if (answer?.Error !== undefined || answer?.Response === undefined) {
    const message = `Cannot reach the sockets of ${system.id}: its document has no HvSocket, or its host does not say where they are`;
    throw failure(name, 'ERROR_NOT_SUPPORTED', message);
  }
  const { Socket: path, ServiceTable } = answer.Response as HvSocketProperty;
  const service = ServiceTable[vsockServiceId(port)];
  if (service !== undefined) return { Socket: path, Listen: service.Listen };
  const message = `Cannot use service ${serviceId}: the machine ${system.id} does not have it, or it is disabled; add it to HvSocketConfig.ServiceTable`;
  throw failure(name, 'ERROR_NOT_FOUND', message);
}

/** Takes the answer off the stream, and leaves what the guest has sent since. */
function answered(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = Buffer.alloc(0);
    const end = (error?: Error): void => {
      socket.off('readable', read).off('error', end).off('close', close);
      if (error === undefined) resolve();
      else reject(error);
    };
    const close = (): void => end(new Error('the connection was refused'));
    const read = (): void => {
      for (let bytes = socket.read(); bytes !== null; bytes = socket.read()) {
        text = Buffer.concat([text, bytes as Buffer]);
        const at = text.indexOf(NEWLINE);
        if (at < 0 && text.length < LONGEST_ANSWER) continue;
        const line = text.subarray(0, at).toString('latin1');
        if (at < 0 || !/^OK \d+$/.test(line)) {
          end(new Error(`the answer was ${line}`));
          return;
        }
        end();
        if (text.length > at + 1) socket.unshift(text.subarray(at + 1));
        return;
      }
    };
    socket.on('readable', read).on('error', end).on('close', close);
  });
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function failure(name: string, code: HresultName, message: string, cause?: unknown): HcsError {
  return new HcsError({ function: name, hresult: HRESULT[code], message, cause });
}
