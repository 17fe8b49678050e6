// Longer than most files: one method for each function of the service, over one connection.
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cancellation } from '../compute/cancellation.ts';
import type {
  DeviceEndpoint,
  DeviceKey,
  DeviceRegistry,
  Withdraw,
} from '../compute/device-directory.ts';
import { failure } from '../compute/failure.ts';
import type {
  CreateRequest,
  Creation,
  ServiceAccess,
  SystemAccess,
} from '../compute/service-access.ts';
import { directoryIdOf } from '../compute/system-id.ts';
import type { SystemListener } from '../compute/system-listener.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import type { SystemQuery } from '../hcs/schema/documents.ts';
import { AnnouncedDevice } from './announced-device.ts';
import { AnnouncedDevices, type DeviceNews } from './announced-devices.ts';
import { withRemedyOf } from './connection-failure.ts';
import type { GuestProgramOptions, GuestPrograms } from './guest-programs.ts';
import { HungUpError, Link } from './link.ts';
import type { ServiceFunction, ServiceGreeting } from './protocol.ts';
import { Postponed, RemoteAccess } from './remote-access.ts';
import { runRemoteProgram } from './remote-program.ts';

/** How a {@link RemoteService} finds its daemon. */
export interface RemoteServiceOptions {
  /**
   * A connected socket.
   * @param mayStart whether a daemon may be started where none listens; true
   * @throws HcsError HCS_E_SERVICE_NOT_AVAILABLE
   */
  readonly connect: (mayStart?: boolean) => Promise<Socket>;
  /** Milliseconds that the service may take to greet. */
  readonly greetingLimitMs: number;
  /** Hears what becomes of devices when the service has gone. By default one that is given up is a warning of the process. */
  readonly deviceNews?: ((news: DeviceNews) => void) | undefined;
}

/** Milliseconds between looks for a daemon that follows one that has ended. */
const LOOK_MS = 100;

/** Milliseconds for which a daemon that was killed may still take connections, which it hangs up. */
const DYING_LIMIT_MS = 1000;

/**
 * A compute service at the other end of a socket. It connects when it is first asked for something, and again when it is
 * asked after the daemon has ended; what was open on the connection before stays dead. Devices are announced again to the
 * daemon that follows, when there is one: it is looked for as long as there are devices.
 */
export class RemoteService implements ServiceAccess, DeviceRegistry, GuestPrograms {
  readonly #options: RemoteServiceOptions;
  /** The connection, or the attempt at one. */
  #link: Promise<Link> | undefined;
  #isClosed = false;
  readonly #devices: AnnouncedDevices;
  #isLooking = false;
  /** Creations that the service has not been asked for yet: whoever looks for a system waits for them. */
  readonly #unsent = new Set<Promise<void>>();

  constructor(options: RemoteServiceOptions) {
    this.#options = options;
    this.#devices = new AnnouncedDevices(options.deviceNews);
  }

  /** Connects, unless it is connected. @throws HcsError as {@link Link.open} and the options' connect */
  async greet(): Promise<ServiceGreeting> {
    return (await this.#connect('hello')).greeting;
  }

  /** Ends the connection, and with it every handle. Safe to call twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const link = await this.#link?.catch(() => undefined);
    link?.close('the client has closed it');
  }

  create(request: CreateRequest, listener: SystemListener): Creation {
    const { function: name, idNamespace, id, configuration, document } = request;
    const { securityDescriptor = null } = request;
    const access = new RemoteAccess({
      kind: document.kind,
      directoryId: directoryIdOf(idNamespace, id),
      listener,
      link: this.#connect(name),
    });
    const sent = this.#beginCreation();
    return {
      access,
      build: (cancellation) =>
        access.create(
          { function: name, idNamespace, id, configuration, securityDescriptor },
          cancellation,
          sent,
        ),
    };
  }

  /** Makes others wait. @returns what ends that */
  #beginCreation(): () => void {
    let sent = (): void => {};
    const waiting = new Promise<void>((resolve) => {
      sent = resolve;
    });
    this.#unsent.add(waiting);
    void waiting.then(() => this.#unsent.delete(waiting));
    return sent;
  }

  async open(
    name: string,
    idNamespace: string,
    id: string,
    listener: SystemListener,
  ): Promise<SystemAccess> {
    await Promise.all(this.#unsent);
    const link = await this.#connect(name);
    const told = new Postponed();
    const handle = link.openHandle(told);
    try {
      const params = { handle, function: name, idNamespace, id };
      const { kind } = await link.request(name, 'open', params);
      const access = new RemoteAccess({
        kind,
        directoryId: directoryIdOf(idNamespace, id),
        listener,
        link: Promise.resolve(link),
        handle,
      });
      told.tell(access);
      return access;
    } catch (error) {
      link.closeHandle(handle);
      throw error;
    }
  }

  async enumerate(
    name: string,
    idNamespace: string,
    query: SystemQuery,
    cancellation: Cancellation,
  ): Promise<string> {
    await Promise.all(this.#unsent);
    const link = await this.#connect(name);
    const params = { function: name, idNamespace, query: JSON.stringify(query) };
    return await link.track(name, 'enumerate', params, cancellation);
  }

  /**
   * Announces a device of this process.
   * @throws HcsError ERROR_ALREADY_EXISTS; ERROR_INVALID_HANDLE without an open handle of the system
   */
  async register(key: DeviceKey, endpoint: DeviceEndpoint): Promise<Withdraw> {
    const device = new AnnouncedDevice(key, endpoint);
    await device.announce(await this.#connect('HdvCreateDeviceInstance'));
    this.#devices.add(device);
    return async () => {
      this.#devices.delete(device);
      await device.withdraw();
    };
  }

  /**
   * Runs a guest program in a simulated machine of the service. Argument and results are what JSON carries of them.
   * @throws HcsError as {@link runRemoteProgram}
   */
  async run(
    systemId: string,
    program: URL,
    options: GuestProgramOptions,
  ): Promise<readonly unknown[]> {
    return await runRemoteProgram(
      await this.#connect('runGuestProgram'),
      systemId,
      program,
      options,
    );
  }

  async HcsGetServiceProperties(propertyQuery: string | null): Promise<string> {
    return (await this.#call('HcsGetServiceProperties', [propertyQuery])) as string;
  }

  HcsModifyServiceSettings(settings: string): Promise<string | null> {
    return this.#call('HcsModifyServiceSettings', [settings]);
  }

  async HcsSubmitWerReport(settings: string): Promise<void> {
    await this.#call('HcsSubmitWerReport', [settings]);
  }

  async HcsCreateEmptyGuestStateFile(guestStateFilePath: string): Promise<void> {
    await this.#call('HcsCreateEmptyGuestStateFile', [guestStateFilePath]);
  }

  async HcsCreateEmptyRuntimeStateFile(runtimeStateFilePath: string): Promise<void> {
    await this.#call('HcsCreateEmptyRuntimeStateFile', [runtimeStateFilePath]);
  }

  async HcsGetProcessorCompatibilityFromSavedState(RuntimeFileName: string): Promise<string> {
    const name = 'HcsGetProcessorCompatibilityFromSavedState';
    return (await this.#call(name, [RuntimeFileName])) as string;
  }

  async HcsGrantVmAccess(vmId: string, filePath: string): Promise<void> {
    await this.#call('HcsGrantVmAccess', [vmId, filePath]);
  }

  async grantUntilEnd(vmId: string, filePath: string): Promise<void> {
    await this.#call('HcsGrantVmAccess', [vmId, filePath], { untilEnd: true });
  }

  async HcsRevokeVmAccess(vmId: string, filePath: string): Promise<void> {
    await this.#call('HcsRevokeVmAccess', [vmId, filePath]);
  }

  async HcsGrantVmGroupAccess(filePath: string): Promise<void> {
    await this.#call('HcsGrantVmGroupAccess', [filePath]);
  }

  async HcsRevokeVmGroupAccess(filePath: string): Promise<void> {
    await this.#call('HcsRevokeVmGroupAccess', [filePath]);
  }

  async #call(
    name: ServiceFunction,
    texts: readonly (string | null)[],
    more: { readonly untilEnd?: true } = {},
  ): Promise<string | null> {
    for (const text of texts) {
      if (typeof text === 'string' || text === null || text === undefined) continue;
      throw failure(name, 'E_INVALIDARG', `an argument is ${typeof text}, not text`);
    }
    const link = await this.#connect(name);
    return await link.request(name, 'service', { function: name, arguments: texts, ...more });
  }

  // Whoever awaits the same promise goes on in the order of the calls.
  #connect(name: string): Promise<Link> {
    if (this.#isClosed) {
      const message = 'the connection to the service was closed: make another one';
      return Promise.reject(failure(name, 'HCS_E_SERVICE_DISCONNECT', message));
    }
    this.#link ??= this.#open();
    return this.#link.catch((error: unknown) => {
      if (!(error instanceof HcsError) || error.document === undefined) throw error;
      const { hresult, document, cause } = error;
      throw withRemedyOf(new HcsError({ function: name, hresult, document, cause }), error);
    });
  }

  async #open(): Promise<Link> {
    const end = performance.now() + DYING_LIMIT_MS;
    while (true) {
      try {
        return await this.#greeted(await this.#options.connect());
      } catch (error) {
        const mayBeDying = (error as HcsError).cause instanceof HungUpError;
        if (!mayBeDying || performance.now() > end || this.#isClosed) {
          this.#link = undefined;
          throw error;
        }
      }
      await delay(LOOK_MS);
    }
  }

  async #greeted(socket: Socket): Promise<Link> {
    const link = await Link.open(socket, this.#options.greetingLimitMs, () => {
      this.#link = undefined;
      void this.#announceAgain();
    });
    // Somebody else may have asked for something first.
    void this.#devices.announceAgain(link);
    return link;
  }

  /** Looks for the daemon that follows, for the devices of this process. */
  async #announceAgain(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    while (!this.#isClosed && this.#link === undefined && !this.#devices.isEmpty) {
      const socket = await this.#options.connect(false).catch(() => undefined);
      // Somebody may have closed this, or asked for something, meanwhile.
      if (socket !== undefined && this.#link === undefined && !this.#isClosed) {
        this.#link = this.#greeted(socket);
        this.#link.catch(() => {
          this.#link = undefined;
        });
        await this.#link.catch(() => {});
      } else {
        socket?.destroy();
      }
      if (this.#link !== undefined) break;
      // A device in a machine keeps this process: its guest is waiting for it.
      await delay(LOOK_MS, undefined, { ref: this.#devices.areNeeded });
    }
    this.#isLooking = false;
  }
}
