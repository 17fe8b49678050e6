// Longer than most files: one method for each request of a client.
import type { Socket } from 'node:net';
import type { CancellationToken } from 'vscode-jsonrpc/node';
import { readOptions } from '../compute/call-options.ts';
import { Cancellation } from '../compute/cancellation.ts';
import { parseCreateDocument } from '../compute/create-document.ts';
import type { DeviceDirectory, DeviceKey } from '../compute/device-directory.ts';
import { failure } from '../compute/failure.ts';
import type { CreateRequest, ServiceAccess, SystemAccess } from '../compute/service-access.ts';
import { isSystemFunction, readSystemCall } from '../compute/system-calls.ts';
import { checkSystemId } from '../compute/system-id.ts';
import type { SystemListener } from '../compute/system-listener.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT } from '../hcs/hresult.ts';
import type { Properties, SystemQuery } from '../hcs/schema/documents.ts';
import type { AuditLog } from './access/audit-log.ts';
import {
  type AccessPolicy,
  type AccessRight,
  FUNCTION_RIGHTS,
  type PeerCredentials,
  type SystemName,
} from './access-policy.ts';
import { BegunCalls } from './begun-calls.ts';
import { Channel } from './channel.ts';
import { type GuestPrograms, runGuestProgram } from './guest-programs.ts';
import { Parameters } from './parameters.ts';
import {
  PROTOCOL,
  SERVICE_FUNCTIONS,
  type ServiceFunction,
  type ServiceGreeting,
  type StopAnswer,
} from './protocol.ts';
import { RemoteDevice } from './remote-device.ts';
import { failureResponse } from './wire-failure.ts';

/** Calls of one client that may be on their way at a time. */
const MOST_CALLS = 4096;

/** Messages of one client that may wait to be dealt with while more are read. */
const MOST_AHEAD = 64;

/** Handles, and devices, that one client may have open at a time. */
const MOST_HANDLES = 65_536;

/** What sessions of one daemon share. */
export interface SessionContext {
  readonly service: ServiceAccess;
  readonly directory: DeviceDirectory;
  /** Whether a system is there and has not ended. */
  readonly hasSystem: (system: SystemName) => boolean;
  /** Whether a machine has a device. */
  readonly hasDevice: (key: DeviceKey) => boolean;
  /** What runs guest programs in its machines, where they do. */
  readonly programs?: GuestPrograms | undefined;
  readonly policy: AccessPolicy;
  /** Takes back what was granted until the end of a system that is not there. Never throws. */
  readonly revokeUnlessThere: (id: string, holder: object) => Promise<void>;
  /** Where calls are recorded that change something, or were refused. */
  readonly audit?: CallRecord | undefined;
  /** What the daemon tells of itself, without the version of the protocol. */
  readonly greeting: Omit<ServiceGreeting, 'protocol'>;
  /** Bytes that may wait for a client that does not read; see {@link Channel}. */
  readonly waitingLimit?: number | undefined;
  /** Milliseconds in which a client has to say hello. */
  readonly helloLimitMs: number;
  /** Ends the daemon; see {@link StopAnswer}. Undefined: no client can. */
  readonly stop?:
    | ((reason: string, isSure: boolean) => Omit<StopAnswer, 'version' | 'pid'>)
    | undefined;
}

/** Records calls that have ended, without keeping anybody waiting. */
export type CallRecord = Pick<AuditLog, 'record'>;

/** An open handle of a client. */
interface Held {
  readonly access: SystemAccess;
  readonly system: SystemName;
  /** What the client may do with it, as of the time that it was opened; undefined: everything, as it created it. */
  readonly rights?: ReadonlySet<AccessRight> | undefined;
}

/** One client: the handles it holds, the devices it has announced, its calls. All of it ends with its connection. */
export class Session {
  readonly peer: PeerCredentials;
  readonly #context: SessionContext;
  readonly #channel: Channel;
  readonly #begun: BegunCalls;
  /** By the client's number. */
  readonly #handles = new Map<number, Held>();
  /** Handles whose numbers were used. */
  #lastHandle = 0;
  readonly #devices = new Map<number, RemoteDevice>();
  /** Ids of systems that files were granted to until their end. */
  readonly #granted = new Set<string>();
  #lastDevice = 0;
  #calls = 0;
  #isGreeted = false;
  readonly #helloTimer: NodeJS.Timeout;

  /** @param ended called once, when the client is gone and nothing of it is left; with the reason */
  constructor(
    socket: Socket,
    peer: PeerCredentials,
    context: SessionContext,
    ended: (session: Session, reason: string) => void,
  ) {
    this.peer = peer;
    this.#context = context;
    this.#channel = new Channel(socket, {
      request: (method, params, token) => this.#answer(method, params, token),
      // Clients have nothing to tell that nobody asked for.
      notice: () => {},
      closed: (reason) => {
        clearTimeout(this.#helloTimer);
        this.#release();
        ended(this, reason);
      },
      waitingLimit: context.waitingLimit,
      mostAhead: MOST_AHEAD,
    });
    this.#begun = new BegunCalls((notice) => this.#channel.notify('begun', notice));
    this.#helloTimer = setTimeout(
      () => this.close(`it did not say hello within ${context.helloLimitMs} ms`),
      context.helloLimitMs,
    );
  }

  /** Handles that the client holds. */
  get handleCount(): number {
    return this.#handles.size;
  }

  /** Ends the connection and tells the client why. */
  close(reason: string): void {
    this.#channel.notify('goodbye', { reason });
    this.#channel.close(reason);
  }

  #release(): void {
    for (const device of this.#devices.values()) device.lost();
    this.#devices.clear();
    for (const { access } of this.#handles.values()) void access.close().catch(() => {});
    // Those that were not created after all.
    for (const id of this.#granted) void this.#context.revokeUnlessThere(id, this);
    this.#handles.clear();
  }

  async #answer(method: string, params: unknown, token: CancellationToken): Promise<unknown> {
    const parameters = new Parameters(method, params);
    const called = parameters.get('function');
    const name = typeof called === 'string' && /^\w{1,64}$/.test(called) ? called : method;
    if (this.#calls >= MOST_CALLS) {
      const message = `${MOST_CALLS} calls of this client are on their way: wait for some of them`;
      throw failureResponse(name, failure(name, 'ERROR_NOT_ENOUGH_QUOTA', message));
    }
    this.#calls++;
    const begin = performance.now();
    // Before the call, as afterwards the handle may be closed.
    const system = this.#systemOf(parameters);
    try {
      const answer = await this.#handle(method, name, parameters, token);
      this.#record(method, name, system, begin);
      return answer;
    } catch (error) {
      this.#record(method, name, system, begin, error);
      throw failureResponse(name, error);
    } finally {
      this.#calls--;
    }
  }

  // Not async: handles are open when the next message is looked at.
  #handle(method: string, name: string, parameters: Parameters, token: CancellationToken): unknown {
    if (!this.#isGreeted && method !== 'hello' && method !== 'stop') {
      throw failure(name, 'E_INVALIDARG', `the client has to say hello before ${method}`);
    }
    switch (method) {
      case 'hello':
        return this.#hello(parameters);
      case 'create':
        return this.#create(name, parameters, token);
      case 'open':
        return this.#open(name, parameters);
      case 'call':
        return this.#call(name, parameters, token);
      case 'close':
        return this.#close(parameters);
      case 'enumerate':
        return this.#enumerate(name, parameters);
      case 'service':
        return this.#service(name, parameters);
      case 'announce':
        return this.#announce(parameters);
      case 'withdraw':
        return this.#withdraw(parameters);
      case 'run':
        return this.#run(parameters, token);
      case 'stop':
        return this.#stop(parameters);
      default:
        throw failure(name, 'E_NOTIMPL', `this service has no method ${method}`);
    }
  }

  #hello(parameters: Parameters): ServiceGreeting {
    const oldest = parameters.number('oldest');
    const newest = parameters.number('newest');
    const version = parameters.text('version').slice(0, 64);
    const { greeting } = this.#context;
    const protocol = Math.min(newest, PROTOCOL.newest);
    if (protocol < oldest || protocol < PROTOCOL.oldest) {
      const remedy =
        newest < PROTOCOL.oldest ? 'update the client' : 'end the service, and start the newer one';
      throw failure(
        'hello',
        'HCS_E_UNSUPPORTED_PROTOCOL_VERSION',
        `the client (hdvkit ${version}) speaks protocol ${oldest} to ${newest}, the service (hdvkit ${greeting.version}) ${PROTOCOL.oldest} to ${PROTOCOL.newest}: ${remedy}`,
      );
    }
    this.#isGreeted = true;
    clearTimeout(this.#helloTimer);
    return { ...greeting, protocol };
  }

  async #create(name: string, parameters: Parameters, token: CancellationToken): Promise<null> {
    const handle = this.#newHandle(name, parameters);
    const call = parameters.number('call');
    const configuration = parameters.text('configuration');
    const system = systemName(name, parameters);
    const request: CreateRequest = {
      function: name,
      ...system,
      configuration,
      document: parseCreateDocument(name, configuration),
      securityDescriptor: parameters.optionalText('securityDescriptor'),
      owner: this.peer.uid,
    };
    const { policy, service } = this.#context;
    const securityDescriptor = policy.create(this.peer, request);
    const whole = { ...request, securityDescriptor };
    const { access, build } = service.create(whole, this.#listener(handle));
    this.#handles.set(handle, { access, system });
    return await this.#begun.run(name, call, token, build);
  }

  async #open(name: string, parameters: Parameters): Promise<{ readonly kind: string }> {
    const handle = this.#newHandle(name, parameters);
    const system = systemName(name, parameters);
    const { idNamespace, id } = system;
    const { policy, service } = this.#context;
    const rights = policy.rights(this.peer, system);
    if (rights !== undefined && !rights.has('read')) {
      throw failure(
        name,
        'HCS_E_ACCESS_DENIED',
        `the user ${this.peer.uid} may not open the system "${id}": ask who created it`,
      );
    }
    if (parameters.get('hasNotEnded') === true && !this.#context.hasSystem(system)) {
      throw failure(name, 'HCS_E_SYSTEM_NOT_FOUND', `no compute system "${id}" is there any more`);
    }
    const access = await service.open(name, idNamespace, id, this.#listener(handle));
    if (this.#channel.isOver) {
      await access.close();
      throw failure(name, 'HCS_E_SERVICE_DISCONNECT', 'the client is gone');
    }
    // Without rights, it has come since.
    this.#handles.set(handle, { access, system, rights: rights ?? new Set() });
    return { kind: access.kind };
  }

  async #call(
    name: string,
    parameters: Parameters,
    token: CancellationToken,
  ): Promise<string | null> {
    const held = this.#held(name, parameters);
    const { access } = held;
    if (!isSystemFunction(name))
      throw failure(name, 'E_INVALIDARG', `${name} is no call of a system`);
    this.#require(name, held, FUNCTION_RIGHTS[name]);
    const call = readSystemCall(name, parameters.textOrNull('text'), access.kind);
    return await this.#begun.run(name, parameters.number('call'), token, (cancellation) =>
      access.call(call, cancellation),
    );
  }

  async #close(parameters: Parameters): Promise<null> {
    const { access } = this.#held('HcsCloseComputeSystem', parameters);
    this.#handles.delete(parameters.number('handle'));
    await access.close();
    return null;
  }

  async #enumerate(name: string, parameters: Parameters): Promise<string> {
    const idNamespace = parameters.text('idNamespace');
    const query = readOptions<SystemQuery>('SystemQuery', parameters.text('query'), name);
    const { policy, service } = this.#context;
    const found = await service.enumerate(name, idNamespace, query, new Cancellation(name));
    const systems = JSON.parse(found) as Properties[];
    const seen = systems.filter(({ Id = '' }) =>
      policy.rights(this.peer, { idNamespace, id: Id })?.has('read'),
    );
    return seen.length === systems.length ? found : JSON.stringify(seen);
  }

  async #service(name: string, parameters: Parameters): Promise<string | null> {
    if (!(SERVICE_FUNCTIONS as readonly string[]).includes(name)) {
      throw failure(name, 'E_INVALIDARG', `${name} is no call of the service`);
    }
    const texts = parameters.texts('arguments');
    const { policy, service } = this.#context;
    policy.callService(this.peer, name);
    if (name === 'HcsGrantVmAccess' && parameters.get('untilEnd') === true) {
      const [vmId = '', path = ''] = texts.map((text) => text ?? '');
      this.#granted.add(vmId);
      await service.grantUntilEnd(vmId, path, this);
      return null;
    }
    const call = service[name as ServiceFunction].bind(service) as (
      ...texts: readonly (string | null)[]
    ) => Promise<string | null | undefined>;
    return (await call(...texts)) ?? null;
  }

  #announce(parameters: Parameters): null {
    const name = 'HdvCreateDeviceInstance';
    const number = parameters.number('device');
    if (this.#context.greeting.host === 'simulated' && process.platform !== 'linux') {
      throw failure(
        name,
        'ERROR_NOT_SUPPORTED',
        'devices of other processes are reached over vfio-user, which needs Linux: run the machine in the process of the device (the host simulated, without a service)',
      );
    }
    if (number <= this.#lastDevice || this.#devices.size >= MOST_HANDLES) {
      throw failure(name, 'E_INVALIDARG', `device ${number} cannot be announced: it was before`);
    }
    this.#lastDevice = number;
    const systemId = parameters.text('systemId');
    this.#requireOpen(name, systemId, 'write');
    const key = {
      systemId,
      classId: parameters.text('classId'),
      instanceId: parameters.text('instanceId'),
    };
    const isOn = parameters.get('isOn') === true;
    const device = new RemoteDevice(this.#channel, number, isOn);
    try {
      device.withdraw = this.#context.directory.register(key, device);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw failure(name, 'ERROR_ALREADY_EXISTS', error.message, undefined, error);
    }
    this.#devices.set(number, device);
    // It was being added or removed when the service that it knew ended.
    if (isOn && !this.#context.hasDevice(key)) void device.powerOff().catch(() => {});
    return null;
  }

  #withdraw(parameters: Parameters): null {
    const number = parameters.number('device');
    void this.#devices.get(number)?.withdraw();
    this.#devices.delete(number);
    return null;
  }

  #stop(parameters: Parameters): StopAnswer {
    const { stop, policy, greeting } = this.#context;
    const { version, pid } = greeting;
    policy.callService(this.peer, 'stop');
    if (stop === undefined) throw failure('stop', 'E_NOTIMPL', 'this service ends by itself');
    clearTimeout(this.#helloTimer);
    const answer = stop(`user ${this.peer.uid} has ended it`, parameters.get('isSure') === true);
    return { ...answer, version, pid };
  }

  /** Runs a guest program; it goes on when the client is gone, as its machine does. */
  async #run(parameters: Parameters, token: CancellationToken): Promise<string> {
    this.#requireOpen('runGuestProgram', parameters.text('systemId'), 'execute');
    return await runGuestProgram(this.#context.programs, this.peer, parameters, token);
  }

  /** Throws unless the client has a handle of the system, and may do this with one of those it has. */
  #requireOpen(name: string, systemId: string, right: AccessRight): void {
    const handles = [...this.#handles.values()].filter(({ access }) => isOpenOn(access, systemId));
    const [first] = handles;
    if (first === undefined) {
      throw failure(
        name,
        'ERROR_INVALID_HANDLE',
        `the client has no open handle of the system "${systemId}": keep one open as long as there are devices or programs`,
      );
    }
    if (!handles.some((held) => mayDo(held, right))) this.#require(name, first, right);
  }

  #newHandle(name: string, parameters: Parameters): number {
    const handle = parameters.number('handle');
    if (handle <= this.#lastHandle) {
      throw failure(name, 'E_INVALIDARG', `handle ${handle} was used before: count upwards`);
    }
    this.#lastHandle = handle;
    if (this.#handles.size < MOST_HANDLES) return handle;
    const message = `the client has ${MOST_HANDLES} handles open: close some`;
    throw failure(name, 'ERROR_NOT_ENOUGH_QUOTA', message);
  }

  #held(name: string, parameters: Parameters): Held {
    const handle = parameters.number('handle');
    const held = this.#handles.get(handle);
    if (held !== undefined) return held;
    throw failure(name, 'ERROR_INVALID_HANDLE', `handle ${handle} is not open on this connection`);
  }

  #require(name: string, held: Held, right: AccessRight): void {
    if (mayDo(held, right)) return;
    throw failure(
      name,
      'HCS_E_ACCESS_DENIED',
      `the user ${this.peer.uid} has no right to ${right} of the system "${held.system.id}": ask who created it`,
    );
  }

  /** The system that a message is for, as far as can be told. */
  #systemOf(parameters: Parameters): SystemName | undefined {
    const id = parameters.get('id');
    if (typeof id !== 'string') {
      return this.#handles.get(parameters.get('handle') as number)?.system;
    }
    const idNamespace = parameters.get('idNamespace');
    return { id, idNamespace: typeof idNamespace === 'string' ? idNamespace : '' };
  }

  #record(
    method: string,
    name: string,
    system: SystemName | undefined,
    begin: number,
    error?: unknown,
  ): void {
    const { audit } = this.#context;
    if (audit === undefined) return;
    const result =
      error === undefined ? 0 : error instanceof HcsError ? error.hresult : HRESULT.E_FAIL;
    const isRefused = result === HRESULT.HCS_E_ACCESS_DENIED;
    if (!isRefused && (QUIET.has(method) || QUIET.has(name))) return;
    audit.record({
      peer: this.peer,
      function: name,
      ...(system === undefined ? {} : { system: { space: system.idNamespace, id: system.id } }),
      result,
      took: Math.round((performance.now() - begin) * 1000) / 1000,
    });
  }

  #listener(handle: number): SystemListener {
    return {
      event: (type, document) => this.#channel.notify('event', { handle, type, document }),
      ended: (exit) => this.#channel.notify('ended', { handle, exit }),
      disconnected: () => {},
    };
  }
}

/** What changes nothing, and is recorded only when it is refused. */
const QUIET: ReadonlySet<string> = new Set([
  'hello',
  'enumerate',
  'close',
  'HcsGetComputeSystemProperties',
  'HcsGetServiceProperties',
]);

function mayDo({ rights }: Held, right: AccessRight): boolean {
  return rights === undefined || rights.has(right);
}

function systemName(name: string, parameters: Parameters): SystemName {
  const id = parameters.text('id');
  const idNamespace = parameters.text('idNamespace');
  checkSystemId(name, id);
  if (idNamespace !== '') checkSystemId(name, idNamespace, 'the id space');
  return { idNamespace, id };
}

function isOpenOn(access: SystemAccess, systemId: string): boolean {
  return !access.isOver && access.directoryId === systemId;
}
