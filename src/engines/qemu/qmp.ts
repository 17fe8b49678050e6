import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { addressOf, nativeBuffer } from '../../ffi/libc.ts';
import { SocketMessage } from '../../ffi/socket-message.ts';
import { SystemCallError } from '../../ffi/system-call-error.ts';

/** An event of QEMU (QMP specification, 2.5). */
export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** QEMU refused a command, or cannot answer any more. */
export class QmpError extends Error {
  override readonly name = 'QmpError';
  /** QEMU's error class (`'GenericError'`, `'DeviceNotFound'`), `'Timeout'` or `'Closed'`. */
  readonly kind: string;

  constructor(command: string, kind: string, description: string) {
    super(`Cannot ${command}: ${description}`);
    this.kind = kind;
  }
}

interface Pending {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout | undefined;
}

/** Milliseconds for which a command is waited for. QEMU answers in its main loop, which a device may hold up. */
const DEFAULT_TIMEOUT = 30_000;
/** Characters of the longest message. */
const LONGEST_MESSAGE = 16 * 1024 * 1024;
/** errno of a socket that can take nothing more. */
const EAGAIN = 11;
const RETRY_MS = 1;

/** One connection to QEMU's control socket: JSON, one message a line. */
export class QmpClient {
  /** Resolves when there is no connection any more. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #timeout: number;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  /** Of commands with a descriptor one is under way at a time: QEMU keeps the last that it was sent. */
  #passing: Promise<unknown> = Promise.resolve();
  #next = 0;
  #rest = '';
  #isClosed = false;
  /** Why there is no connection any more. */
  #reason = 'QEMU has ended';
  #greet: () => void = () => {};

  private constructor(socket: Socket, timeout: number) {
    this.#socket = socket;
    this.#timeout = timeout;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#receive(text));
    socket.on('error', () => undefined); // 'close' follows.
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#fail();
        resolve();
      });
    });
  }

  /**
   * Waits for the greeting and leaves negotiation mode.
   * @param timeout milliseconds for each command, 0 for no limit
   * @param greetingTimeout milliseconds for the greeting, which QEMU gives when it is up, and to one client at a time
   */
  static async open(
    socket: Socket,
    timeout: number = DEFAULT_TIMEOUT,
    greetingTimeout: number = timeout,
  ): Promise<QmpClient> {
    const client = new QmpClient(socket, timeout);
    await client.#waitFor('greet QEMU', greetingTimeout, (settle) => {
      client.#greet = () => settle(undefined);
    });
    await client.execute('qmp_capabilities');
    return client;
  }

  /**
   * Runs a command.
   * @param fd descriptor that goes along (`add-fd`, `getfd`); it stays the caller's
   * @throws QmpError when QEMU refuses, does not answer in time, or goes away
   */
  execute(
    command: string,
    args?: Readonly<Record<string, unknown>>,
    fd?: number,
  ): Promise<unknown> {
    const run = (): Promise<unknown> =>
      this.#waitFor(command, this.#timeout, (_settle, id) => {
        const message = {
          execute: command,
          ...(args === undefined ? {} : { arguments: args }),
          id,
        };
        const line = `${JSON.stringify(message)}\n`;
        if (fd === undefined) this.#socket.write(line);
        else this.#pass(line, fd).catch((error: unknown) => this.#settle(id)?.reject(error));
      });
    if (fd === undefined) return run();
    const passed = this.#passing.then(run, run);
    this.#passing = passed.catch(() => undefined);
    return passed;
  }

  /** Calls `listener` with each event from now on. @returns a function that ends it */
  listen(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Sends a line with a descriptor, which Node cannot, after what Node has to send. */
  async #pass(line: string, fd: number): Promise<void> {
    const socket = this.#socket;
    if (socket.writableLength > 0) await once(socket, 'drain');
    const text = Buffer.from(line);
    const bytes = nativeBuffer(text.length);
    bytes.set(text);
    const message = new SocketMessage();
    for (let at = 0; at < text.length; ) {
      const own = descriptorOf(socket);
      if (own < 0) return; // What waits for the answer is told that QEMU has ended.
      const fds = at === 0 ? [fd] : [];
      const sent = message.send(own, addressOf(bytes) + at, text.length - at, fds);
      if (sent >= 0) at += sent;
      else if (sent === -EAGAIN) await delay(RETRY_MS);
      else throw new SystemCallError('pass a descriptor to', -sent, 'QEMU');
    }
  }

  #waitFor(
    command: string,
    timeout: number,
    send: (settle: (value: unknown) => void, id: number) => void,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw new QmpError(command, 'Closed', this.#reason);
      const id = ++this.#next;
      const expire = (): void => {
        this.#pending.delete(id);
        reject(new QmpError(command, 'Timeout', `QEMU did not answer within ${timeout} ms`));
      };
      const timer = timeout === 0 ? undefined : setTimeout(expire, timeout);
      this.#pending.set(id, { command, resolve, reject, timer });
      send((value) => this.#settle(id)?.resolve(value), id);
    });
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(pending?.timer);
    return pending;
  }

  #receive(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.trim() === '' || this.#socket.destroyed) continue;
      const message = objectIn(line);
      if (message === undefined) this.#cutOff(`"${line.slice(0, 100)}" is no message`);
      else this.#dispatch(message);
    }
    if (this.#rest.length > LONGEST_MESSAGE) this.#cutOff('its message does not end');
  }

  /** A QEMU that has gone wrong, or that a guest has taken over, is nothing that the service falls with. */
  #cutOff(problem: string): void {
    this.#rest = '';
    this.#reason = `QEMU does not speak QMP any more, as ${problem}: terminate the machine`;
    this.#socket.destroy();
  }

  #dispatch(message: Readonly<Record<string, unknown>>): void {
    if ('QMP' in message) {
      this.#greet();
    } else if (typeof message.event === 'string') {
      const data = (message.data ?? {}) as Readonly<Record<string, unknown>>;
      for (const listener of this.#listeners) listener({ event: message.event, data });
    } else if (typeof message.id === 'number') {
      const pending = this.#settle(message.id);
      if (pending === undefined) return;
      if ('error' in message) {
        const { class: kind, desc } = message.error as { class: string; desc: string };
        pending.reject(new QmpError(pending.command, kind, desc));
      } else {
        pending.resolve(message.return);
      }
    }
  }

  #fail(): void {
    this.#isClosed = true;
    for (const id of [...this.#pending.keys()]) {
      const pending = this.#settle(id);
      pending?.reject(new QmpError(pending.command, 'Closed', this.#reason));
    }
  }
}

function objectIn(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null) return undefined;
    return value as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

/** The descriptor below a socket of Node; -1 when it is closed. */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { _handle?: { readonly fd: number } | null };
  return handle?.fd ?? -1;
}
