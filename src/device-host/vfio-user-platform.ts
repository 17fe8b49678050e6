import type { Clock, GuestMemory } from '../device/services.ts';
import { identifyFile } from '../ffi/descriptors.ts';
import { type ReadableWatch, watchReadable } from '../ffi/readable-watch.ts';
import type { HANDLE } from '../hcs/core/handles.ts';
import type { DoorbellEvent, Section, SectionPlace } from '../hdv/hdv-binding.ts';
import type { HDV_DEVICE } from '../hdv/vm-device-host.ts';
import type { RegionMapping } from '../vfio-user/device.ts';
import { VfioUserListener } from '../vfio-user/listener.ts';
import { VfioUserServer } from '../vfio-user/server.ts';
import { ServerState } from '../vfio-user/server-state.ts';
import { BarFiles, mappingOf } from './bar-files.ts';
import { eventLoopClock } from './event-loop-clock.ts';
import { functionShape } from './function-shape.ts';
import { LocalEvents, type OpenEvent, openEventFd } from './local-events.ts';
import type { LocalInstance, LocalPlatform } from './local-platform.ts';
import { createFileSection, type OpenFileSection, openFileSection } from './memory-sections.ts';
import type { VfioUserEndpoint } from './vfio-user-endpoint.ts';
import { VfioUserFunction } from './vfio-user-function.ts';

/** What a {@link VfioUserPlatform} needs. */
export interface VfioUserPlatformOptions {
  readonly systemIdOf: (computeSystem: bigint) => string | undefined;
  /** A path for a socket that is not in use. */
  readonly socketPath: () => string;
  /** The instance of a handle. */
  readonly instanceOf: (device: HDV_DEVICE) => LocalInstance;
}

/**
 * Serves instances whose callbacks are on this thread, from its event loop: inline placement. An access waits until
 * the event loop comes round, and nothing here can help when a callback does not return.
 */
export class VfioUserPlatform implements LocalPlatform {
  readonly #options: VfioUserPlatformOptions;
  readonly widestWrite = 8;
  readonly #served = new Map<HDV_DEVICE, InlineService>();
  readonly #memory = new Map<HDV_DEVICE, DirectFiles>();
  readonly #events = new LocalEvents();

  constructor(options: VfioUserPlatformOptions) {
    this.#options = options;
  }

  systemIdOf(computeSystem: bigint): string | undefined {
    return this.#options.systemIdOf(computeSystem);
  }

  async connect(instance: LocalInstance): Promise<VfioUserEndpoint> {
    const memory = this.#memoryOf(instance);
    const service = new InlineService(instance, memory, this.#options.socketPath());
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

  openEvent(handle: HANDLE): OpenEvent | undefined {
    return this.#events.open(handle) ?? openEventFd(handle);
  }

  openSection(
    instance: LocalInstance,
    handle: HANDLE,
    offset: number,
    length: number,
  ): OpenFileSection | undefined {
    const section = openFileSection(handle, offset, length);
    if (section !== undefined) this.#memoryOf(instance).enter(section);
    return section;
  }

  isHeld(instance: LocalInstance, bar: number, offset: number): boolean {
    const served = this.#served.get(instance.device)?.isConnected === true;
    return served && this.#memoryOf(instance).hasHandedOut(bar, offset);
  }

  /** `DevicePlatform`: an event whose ring is called on this thread. */
  doorbellEvent(ring: () => void): DoorbellEvent {
    return this.#events.create(ring);
  }

  /** `DevicePlatform`: memory for a place that the device declares, which clients can map; or of its own. */
  section(size: number, place?: SectionPlace): Section | undefined {
    if (place === undefined) return createFileSection(size);
    const memory = this.#memoryOf(this.#options.instanceOf(place.requestor));
    return memory.section(size, place) ?? createFileSection(size);
  }

  #memoryOf(instance: LocalInstance): DirectFiles {
    let memory = this.#memory.get(instance.device);
    if (memory === undefined) {
      memory = new DirectFiles(instance);
      this.#memory.set(instance.device, memory);
    }
    return memory;
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

/** Files behind the BARs of one instance. */
class DirectFiles {
  readonly #instance: LocalInstance;
  /** Behind the pages that the function declares. */
  #declared: BarFiles | undefined;
  #sections = 0;
  readonly #files = new WeakMap<Uint8Array, OpenFileSection>();
  /** Places, other than declared ones, that a client may have mapped. */
  readonly #handedOut = new Set<string>();

  constructor(instance: LocalInstance) {
    this.#instance = instance;
  }

  /** A file that a range may show. */
  enter(section: OpenFileSection): void {
    this.#files.set(section.bytes, section);
  }

  hasHandedOut(bar: number, offset: number): boolean {
    return this.#handedOut.has(`${bar} ${offset}`);
  }

  /** A client went. */
  takeBack(): void {
    this.#handedOut.clear();
  }

  /** Memory of a declared place; undefined when it is none. */
  section(size: number, { bar, offset }: SectionPlace): Section | undefined {
    const bytes = this.#open()?.bytes(bar, offset, size);
    const page = this.#declared?.pages.find((each) => each.bar === bar && each.offset === offset);
    if (bytes === undefined || page === undefined) return undefined;
    let isOpen = true;
    this.#sections++;
    return {
      handle: BigInt(page.fd),
      offsetInPages: offset / 4096,
      bytes,
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        if (--this.#sections > 0) return;
        this.#declared?.release();
        this.#declared = undefined;
      },
    };
  }

  /** A client has one descriptor for each BAR: pages of one file, as far apart in it as in the BAR. */
  mapping(bar: number): RegionMapping | undefined {
    const declared = mappingOf(this.#declared?.pages ?? [], bar);
    if (declared !== undefined) return declared;
    const ranges = this.#instance.direct.ranges.flatMap((range) => {
      const file = this.#files.get(range.bytes);
      if (range.bar !== bar || !range.writable || file === undefined) return [];
      const start = file.offset - range.offset;
      const { device, inode } = identifyFile(file.fd);
      const area = { offset: range.offset, size: range.bytes.length };
      return start < 0 ? [] : [{ fd: file.fd, start, name: `${device} ${inode} ${start}`, area }];
    });
    const [first] = ranges;
    if (first === undefined) return undefined;
    const areas = ranges.filter(({ name }) => name === first.name).map(({ area }) => area);
    for (const { offset } of areas) this.#handedOut.add(`${bar} ${offset}`);
    return { fd: first.fd, offset: first.start, areas };
  }

  #open(): BarFiles | undefined {
    if (this.#declared !== undefined) return this.#declared;
    try {
      const files = new BarFiles(functionShape(this.#instance.interface).mapped);
      this.#declared = files;
      files.open();
    } catch {
      // No memory or descriptors: the accesses are intercepted.
      this.#declared?.release();
      this.#declared = undefined;
    }
    return this.#declared;
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

  constructor(instance: LocalInstance, memory: DirectFiles, socketPath: string) {
    this.#listener = VfioUserListener.listen(socketPath);
    this.#instance = instance;
    const direct = { table: instance.direct, mapping: (bar: number) => memory.mapping(bar) };
    const hooks = {
      start: () => this.#guard(() => instance.start()),
      stop: () => this.#guard(() => instance.stop()),
      disconnected: () => memory.takeBack(),
    };
    this.function = new VfioUserFunction(instance.interface, hooks, direct);
    this.#watch = this.#listen();
  }

  get path(): string {
    return this.#listener.path;
  }

  get isConnected(): boolean {
    return this.#server !== undefined;
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
    // QEMU would walk the capabilities of a device that reads all ones for ever.
    if (this.#instance.interface.failure !== undefined) {
      server.close();
      return this.#listen();
    }
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
