import type { Clock, GuestMemory } from '../device/services.ts';
import { type ReadableWatch, watchReadable } from '../ffi/readable-watch.ts';
import type { HDV_DEVICE } from '../hdv/vm-device-host.ts';
import { VfioUserListener } from '../vfio-user/listener.ts';
import { VfioUserServer } from '../vfio-user/server.ts';
import { ServerState } from '../vfio-user/server-state.ts';
import { eventLoopClock } from './event-loop-clock.ts';
import { functionShape } from './function-shape.ts';
import type { LocalInstance, LocalPlatform } from './local-platform.ts';
import type { VfioUserEndpoint } from './vfio-user-endpoint.ts';
import { VfioUserFunction } from './vfio-user-function.ts';

/** What a {@link VfioUserPlatform} needs. */
export interface VfioUserPlatformOptions {
  readonly systemIdOf: (computeSystem: bigint) => string | undefined;
  /** A path for a socket that is not in use. */
  readonly socketPath: () => string;
}

/**
 * Serves instances whose callbacks are on this thread, from its event loop: inline placement. An access waits until
 * the event loop comes round, and nothing here can help when a callback does not return.
 */
export class VfioUserPlatform implements LocalPlatform {
  readonly #options: VfioUserPlatformOptions;
  readonly #served = new Map<HDV_DEVICE, InlineService>();

  constructor(options: VfioUserPlatformOptions) {
    this.#options = options;
  }

  systemIdOf(computeSystem: bigint): string | undefined {
    return this.#options.systemIdOf(computeSystem);
  }

  async connect(instance: LocalInstance): Promise<VfioUserEndpoint> {
    const service = new InlineService(instance, this.#options.socketPath());
    this.#served.set(instance.device, service);
    return {
      kind: 'vfio-user',
      socketPath: service.path,
      msix: functionShape(instance.interface).interrupts.kind === 'msix',
    };
  }

  async disconnect(instance: LocalInstance): Promise<void> {
    this.#served.get(instance.device)?.close();
    this.#served.delete(instance.device);
  }

  memory(instance: LocalInstance): GuestMemory | undefined {
    return this.#served.get(instance.device)?.function.memory;
  }

  deliverInterrupt(instance: LocalInstance, address: number, data: number): void {
    this.#served.get(instance.device)?.function.deliverInterrupt(address, data);
  }

  /** `DevicePlatform`: time is real. */
  clock(): Clock {
    return eventLoopClock;
  }

  /** `DevicePlatform`: drives INTx of an instance. */
  setInterruptLine(device: HDV_DEVICE, asserted: boolean): void {
    this.#served.get(device)?.function.setInterruptLine(asserted);
  }
}

/** One instance behind a socket, one client at a time; whoever connects meanwhile waits its turn. */
class InlineService {
  readonly function: VfioUserFunction;
  readonly #instance: LocalInstance;
  readonly #listener: VfioUserListener;
  #server: VfioUserServer | undefined;
  /** Of the listening socket while there is no client, of the client's while there is one. */
  #watch: ReadableWatch;
  #closed = false;

  constructor(instance: LocalInstance, socketPath: string) {
    this.#listener = VfioUserListener.listen(socketPath);
    this.#instance = instance;
    this.function = new VfioUserFunction(instance.interface, {
      start: () => this.#guard(() => instance.start()),
      stop: () => this.#guard(() => instance.stop()),
      disconnected: () => undefined,
    });
    this.#watch = this.#listen();
  }

  get path(): string {
    return this.#listener.path;
  }

  close(): void {
    this.#closed = true;
    this.#watch.close();
    this.#server?.close();
    this.#listener.close();
  }

  #listen(): ReadableWatch {
    return watchReadable(this.#listener.fd, () => {
      const fd = this.#listener.accept();
      if (fd < 0) return;
      this.#watch.close();
      this.#watch = this.#serve(fd);
    });
  }

  #serve(fd: number): ReadableWatch {
    const server = new VfioUserServer({
      fd,
      state: ServerState.create(),
      device: (port) => this.function.attach(port),
    });
    this.#server = server;
    return watchReadable(fd, () => {
      this.#guard(() => server.processReadable());
      if (!server.closed || this.#closed) return;
      this.#watch.close();
      this.#server = undefined;
      this.#watch = this.#listen();
    });
  }

  /**
   * Callbacks that are no `PciFunction` can throw where they must not; the guest has had its answer, an error, by then.
   * What a `PciFunction` throws at start it has reported.
   */
  #guard(call: () => unknown): void {
    try {
      call();
    } catch (error) {
      if (this.#instance.interface.failure === error) return;
      const reason = error instanceof Error ? error.message : String(error);
      process.emitWarning(
        `Callbacks of device instance ${this.#instance.instanceId} threw into their host: ${reason}`,
        'DeviceFailed',
      );
    }
  }
}
