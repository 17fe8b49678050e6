import type { VfioUserEndpoint } from '../../device-host/vfio-user-endpoint.ts';
import type { FunctionConnection } from '../../engines/simulated/function-connection.ts';
import { InterruptLine } from '../../engines/simulated/interrupts.ts';
import type { SimulatedMachine } from '../../engines/simulated/machine.ts';
import { closeFd } from '../../ffi/descriptors.ts';
import { PollEvent, PollSet } from '../../ffi/poll-set.ts';
import { type ReadableWatch, watchReadable } from '../../ffi/readable-watch.ts';
import { shutdownSocket } from '../../ffi/unix-socket.ts';
import { addToWaitGroup, createWaitGroup } from '../../ffi/wait-group.ts';
import { DeviceWorker } from '../../transport/device-worker.ts';
import { SlotChannel } from '../../transport/slot/slot-channel.ts';
import { SlotRequester } from '../../transport/slot/slot-requester.ts';
import { moduleExtension } from '../../transport/typescript-loader.ts';
import { EventInterrupts } from './event-interrupts.ts';
import type {
  ProcessDeviceData,
  ProcessDeviceNotice,
  ProcessDeviceReady,
} from './process-device-worker.ts';
import { PlacedFunction } from './remote-function.ts';

const ENTRY = new URL(`./process-device-worker${moduleExtension}`, import.meta.url);

/** Milliseconds that a device may take for an answer, as with QEMU: its own process gives one up earlier. */
const DEFAULT_LIMIT_MS = 5000;

/** How devices of other processes are reached; everything has a default. */
export interface ProcessDeviceOptions {
  /** Milliseconds after which a device whose process does not answer is given up; 5000. */
  readonly limitMs?: number | undefined;
  /** Told once, when a device went by itself: its process has ended, or does not answer. */
  readonly gone?: ((reason: string) => void) | undefined;
}

/** A device of another process in a simulated machine, seen from the machine's thread, which it never holds up. */
export class ProcessDevice {
  readonly #machine: SimulatedMachine;
  readonly #options: ProcessDeviceOptions;
  readonly #channel = new SlotChannel();
  readonly #events = new EventInterrupts();
  /** Of the eventfds. */
  #signalled = -1;
  /** Of {@link ProcessDevice.#signalled}, and the end of the connection. */
  #group = -1;
  readonly #hungUp = new PollSet(1);
  readonly #line: number;
  #worker: DeviceWorker | undefined;
  #isLine = false;
  #watch: ReadableWatch | undefined;
  #connection: FunctionConnection | undefined;
  #isGone = false;
  #ending: Promise<void> | undefined;

  private constructor(machine: SimulatedMachine, line: number, options: ProcessDeviceOptions) {
    this.#machine = machine;
    this.#line = line;
    this.#options = options;
  }

  /**
   * Connects to a device, which has the machine's memory and interrupts from then on.
   * @throws VfioUserError (by name) when it cannot be reached, is no PCI device, or does not answer in time; Error when
   * there is no room for another worker
   */
  static async connect(
    { socketPath }: Pick<VfioUserEndpoint, 'socketPath'>,
    machine: SimulatedMachine,
    options: ProcessDeviceOptions = {},
  ): Promise<FunctionConnection> {
    const shared = machine.share();
    if (shared.ram.some(({ fd }) => fd === undefined)) {
      throw new Error(
        'Cannot give the machine a device of another process: its memory is in no file, as too many were open when it was made; raise the limit of open files (ulimit -n)',
      );
    }
    const line = new InterruptLine();
    const number = machine.addLine(line);
    const device = new ProcessDevice(machine, number, options);
    try {
      device.#signalled = createWaitGroup();
      device.#group = createWaitGroup(device.#signalled);
      return await device.#connect(
        {
          socketPath,
          limitMs: options.limitMs ?? DEFAULT_LIMIT_MS,
          channel: device.#channel.buffer,
          machine: shared,
          line: number,
          events: device.#events.buffer,
          group: device.#signalled,
        },
        line,
      );
    } catch (error) {
      await device.#end();
      throw error;
    }
  }

  async #connect(data: ProcessDeviceData, line: InterruptLine): Promise<FunctionConnection> {
    const worker = await DeviceWorker.start({
      entry: ENTRY,
      data,
      notice: (notice) => this.#went((notice as ProcessDeviceNotice).reason),
    });
    this.#worker = worker;
    const { shape } = worker.readyValue as ProcessDeviceReady;
    const fd = this.#events.connection;
    this.#isLine = shape.interrupts.kind === 'intx';
    void worker.ended.then(({ error }) => {
      if (error !== undefined) this.#went(error.message);
    });
    addToWaitGroup(this.#group, fd, PollEvent.PEER_CLOSED);
    this.#hungUp.watch(0, fd, PollEvent.PEER_CLOSED);
    this.#watch = watchReadable(this.#group, () => this.#look());
    const channel = this.#channel;
    const requester = new SlotRequester(channel, 0);
    const place = { channel, requester, number: 0, line: this.#line };
    this.#connection = {
      kind: 'function',
      function: new PlacedFunction(place, shape.details, true),
      line,
      // The device runs from when it is connected, also while its machine is paused, as with QEMU.
      start: () => undefined,
      stop: () => undefined,
      disconnect: () => this.#end(),
      save: () => Promise.reject(new Error(ELSEWHERE)),
      restore: () => Promise.reject(new Error(ELSEWHERE)),
      onDisconnect: undefined,
    };
    return this.#connection;
  }

  /** Something has happened that no access waits for. */
  #look(): void {
    const machine = this.#machine;
    const events = this.#events;
    if (this.#isLine) {
      if (events.takeLine()) machine.signals?.sendLine(this.#line, true);
    } else {
      events.takeMessages((address, data) => machine.deliverMessage(address, data));
    }
    if (this.#hungUp.wait(0) > 0) this.#went('the process of the device has closed the connection');
  }

  /** The device went by itself: whoever waits for it, and everybody after, reads all ones. */
  #went(reason: string): void {
    if (this.#isGone || this.#ending !== undefined) return;
    this.#isGone = true;
    this.#channel.close();
    this.#connection?.onDisconnect?.();
    this.#options.gone?.(reason);
    void this.#end();
  }

  /** Lets go of the device. Safe to call twice. */
  #end(): Promise<void> {
    this.#ending ??= this.#letGo();
    return this.#ending;
  }

  async #letGo(): Promise<void> {
    this.#watch?.close();
    this.#channel.close();
    this.#machine.removeLine(this.#line);
    const { connection } = this.#events;
    // A worker that waits for an answer sees the end of the connection.
    if (connection >= 0) shutdownSocket(connection);
    await this.#worker?.stop();
    for (const fd of [connection, ...this.#events.fds, this.#group, this.#signalled]) closeFd(fd);
  }
}

const ELSEWHERE = 'it is in another process, which vfio-user has no way to ask for it';
