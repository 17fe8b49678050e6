import type { Socket } from 'node:net';
import type { CancellationToken } from 'vscode-jsonrpc/node';
import type { Cancellation } from '../compute/cancellation.ts';
import type { DeviceEndpoint } from '../compute/device-directory.ts';
import { failure } from '../compute/failure.ts';
import type { SystemListener } from '../compute/system-listener.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT } from '../hcs/hresult.ts';
import { CallToken } from './call-token.ts';
import { Channel } from './channel.ts';
import { connectionFailure } from './connection-failure.ts';
import { packageVersion } from './package-version.ts';
import { Parameters } from './parameters.ts';
import {
  type ClientRequests,
  PROTOCOL,
  type ServiceGreeting,
  type ServiceNotices,
} from './protocol.ts';
import { decodeFailure, encodeFailure, failureResponse } from './wire-failure.ts';

/** Milliseconds for which a service that says that it is starting is waited for. */
const LONGEST_START_MS = 120_000;

/** The other end ended the connection before it said a word: a daemon that was just ending, or no service at all. */
export class HungUpError extends Error {
  override readonly name = 'HungUpError';
}

/** What of a client hears of one handle. */
export type LinkListener = Pick<SystemListener, 'event' | 'ended' | 'disconnected'>;

/**
 * A client's end of one connection to a service, from hello to its end. Numbers of handles, calls and devices are counted
 * up and belong to it; when it ends, everybody who waits for something hears of it.
 */
export class Link {
  readonly #channel: Channel;
  readonly #listeners = new Map<number, LinkListener>();
  readonly #devices = new Map<number, DeviceEndpoint>();
  readonly #calls = new Map<number, Cancellation>();
  readonly #ended: () => void;
  #greeting: ServiceGreeting | undefined;
  #number = 0;
  #isClosed = false;
  #requests = 0;
  /** What the service said of the end, or what was seen of it. */
  #reason: string | undefined;
  /** Whether the service does not let this user in. */
  #isRefused = false;
  #helloTimer: NodeJS.Timeout | undefined;
  readonly #connectedAt = performance.now();

  private constructor(socket: Socket, ended: () => void) {
    this.#ended = ended;
    this.#channel = new Channel(socket, {
      request: (method, params) => this.#answer(method, params),
      notice: (method, params) => this.#noticed(method, params),
      closed: (reason) => this.#over(reason),
    });
  }

  /**
   * Says hello on a socket that is connected.
   * @param limitMs milliseconds that the service may take, from its last sign of life on
   * @param ended called once when the connection ends, unless it never began
   * @throws HcsError HCS_E_UNSUPPORTED_PROTOCOL_VERSION; HCS_E_SERVICE_NOT_AVAILABLE when nothing greets back, by a
   * {@link HungUpError} where the other end hung up without a word; HCS_E_ACCESS_DENIED when the service does not let this
   * user in
   */
  static async open(socket: Socket, limitMs: number, ended: (link: Link) => void): Promise<Link> {
    const link: Link = new Link(socket, () => {
      if (link.#greeting !== undefined) ended(link);
    });
    link.#helloTimer = setTimeout(
      () => link.close(`it did not answer to hello within ${limitMs} ms`),
      limitMs,
    );
    try {
      const { oldest, newest } = PROTOCOL;
      link.#greeting = (await link.request('hello', 'hello', {
        oldest,
        newest,
        version: packageVersion(),
      })) as ServiceGreeting;
      return link;
    } catch (error) {
      if (!link.isOver) link.close('it refused the connection');
      if (!(error instanceof HcsError)) throw error;
      if (error.hresult !== HRESULT.HCS_E_SERVICE_DISCONNECT) throw error;
      if (link.#isRefused) {
        const message = `the service does not let this user in: ${link.#reason}`;
        throw failure(error.function, 'HCS_E_ACCESS_DENIED', message);
      }
      throw connectionFailure(
        'HCS_E_SERVICE_NOT_AVAILABLE',
        `what listens there is no service that greets: ${link.#reason}`,
        'end that program, or name another socket by HDVKIT_SOCKET',
        !link.#isClosed && socket.bytesRead === 0 ? new HungUpError(link.#reason) : undefined,
        error.function,
      );
    } finally {
      clearTimeout(link.#helloTimer);
      link.#helloTimer = undefined;
    }
  }

  get greeting(): ServiceGreeting {
    return this.#greeting!;
  }

  get isOver(): boolean {
    return this.#channel.isOver;
  }

  /** Opens a number for a handle, about which `listener` hears until {@link closeHandle}. */
  openHandle(listener: LinkListener): number {
    const number = this.#next();
    this.#listeners.set(number, listener);
    this.#keepAlive();
    return number;
  }

  closeHandle(number: number): void {
    this.#listeners.delete(number);
    this.#keepAlive();
  }

  /** Opens a number for a device of this process. */
  openDevice(endpoint: DeviceEndpoint): number {
    const number = this.#next();
    this.#devices.set(number, endpoint);
    this.#keepAlive();
    return number;
  }

  closeDevice(number: number): void {
    this.#devices.delete(number);
    this.#keepAlive();
  }

  /** @throws HcsError as the service answers; HCS_E_SERVICE_DISCONNECT when the connection ends first */
  async request<M extends keyof ClientRequests>(
    name: string,
    method: M,
    params: ClientRequests[M]['params'],
    token?: CancellationToken,
  ): Promise<ClientRequests[M]['result']> {
    this.#requests++;
    this.#keepAlive();
    try {
      if (this.isOver) throw this.#disconnected(name);
      return (await this.#channel.request(method, params, token)) as ClientRequests[M]['result'];
    } catch (error) {
      const { data, message } = error as { readonly data?: unknown; readonly message?: string };
      if (data !== undefined) throw decodeFailure(name, data);
      if (this.isOver) throw this.#disconnected(name);
      throw decodeFailure(name, { reason: message });
    } finally {
      this.#requests--;
      this.#keepAlive();
    }
  }

  /** A request of a call that can be cancelled, until the service says that it cannot any more. */
  async track<M extends 'create' | 'call' | 'enumerate'>(
    name: string,
    method: M,
    params: Omit<ClientRequests[M]['params'], 'call'>,
    cancellation: Cancellation,
  ): Promise<ClientRequests[M]['result']> {
    // Where the call stands is known at the other end: until that is heard of, it is asked.
    cancellation.begin(true);
    const call = this.#next();
    this.#calls.set(call, cancellation);
    const token = new CallToken();
    cancellation.interrupted = () => token.cancel();
    try {
      const whole = { ...params, call } as unknown as ClientRequests[M]['params'];
      return await this.request(name, method, whole, token);
    } finally {
      this.#calls.delete(call);
    }
  }

  /** Ends the connection, and with it every handle. Safe to call twice. */
  close(reason: string): void {
    this.#isClosed = true;
    this.#channel.close(reason);
  }

  #next(): number {
    this.#number++;
    return this.#number;
  }

  #keepAlive(): void {
    this.#channel.keepAlive(this.#requests + this.#listeners.size + this.#devices.size > 0);
  }

  #disconnected(name: string): HcsError {
    if (this.#isClosed && this.#greeting !== undefined) {
      const message = 'the handle was closed with its connection to the service';
      return failure(name, 'ERROR_INVALID_HANDLE', message);
    }
    const message = `the service is gone, and with it every handle: ${this.#reason}; open the system again`;
    return failure(name, 'HCS_E_SERVICE_DISCONNECT', message);
  }

  async #answer(method: string, params: unknown): Promise<unknown> {
    const name = 'HdvCreateDeviceInstance';
    try {
      const parameters = new Parameters(method, params);
      const endpoint = this.#devices.get(parameters.number('device'));
      if (endpoint === undefined) throw failure(name, 'ERROR_NOT_FOUND', 'the device was detached');
      if (method === 'powerOn') {
        const { configuration } = params as { readonly configuration?: readonly string[] };
        return await endpoint.powerOn(configuration ?? []);
      }
      if (method === 'powerOff') return (await endpoint.powerOff()) ?? null;
      if (method === 'failure') {
        const failure = await endpoint.failure;
        return failure === undefined ? null : encodeFailure(name, failure);
      }
      throw failure(name, 'E_NOTIMPL', `this client has no method ${method}`);
    } catch (error) {
      throw failureResponse(name, error);
    }
  }

  #noticed(method: string, params: unknown): void {
    switch (method) {
      case 'event': {
        const { handle, type, document } = params as ServiceNotices['event'];
        this.#listeners.get(handle)?.event(type, document);
        return;
      }
      case 'ended': {
        const { handle, exit } = params as ServiceNotices['ended'];
        this.#listeners.get(handle)?.ended(exit);
        return;
      }
      case 'begun': {
        const { call, interruptible } = params as ServiceNotices['begun'];
        const cancellation = this.#calls.get(call);
        if (cancellation?.isCancelled === false) cancellation.begin(interruptible);
        return;
      }
      case 'starting':
        if (performance.now() - this.#connectedAt < LONGEST_START_MS) this.#helloTimer?.refresh();
        return;
      case 'goodbye': {
        const { reason, isRefused = false } = params as ServiceNotices['goodbye'];
        this.#reason = reason;
        this.#isRefused = isRefused;
        return;
      }
    }
  }

  #over(reason: string): void {
    this.#reason ??= reason;
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    this.#devices.clear();
    this.#ended();
    for (const listener of listeners) listener.disconnected();
  }
}
