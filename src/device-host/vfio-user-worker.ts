import { libc } from '../ffi/libc.ts';
import { PollEvent, PollSet } from '../ffi/poll-set.ts';
import { acceptUnix } from '../ffi/unix-socket.ts';
import { loadDevice } from '../hdv/load-device.ts';
import { TraceRecorder } from '../inspect/trace-recorder.ts';
import { TraceRing } from '../inspect/trace-ring.ts';
import type { FunctionShape } from '../pci/device-callbacks.ts';
import type { FunctionNotice, PciHostCapabilities } from '../pci/host.ts';
import { PciFunction } from '../pci/pci-function.ts';
import { type ErrorMessage, encodeError } from '../transport/error-message.ts';
import { type BootstrapTask, runWorker, type WorkerContext } from '../transport/worker-context.ts';
import { VfioUserServer, Wake } from '../vfio-user/server.ts';
import { ServerState } from '../vfio-user/server-state.ts';
import { LoopClock } from './loop-clock.ts';
import { VfioUserFunction } from './vfio-user-function.ts';

/** What a device worker is started with. */
export interface VfioUserWorkerData {
  readonly module: string;
  readonly exportName: string | undefined;
  /** Memory of a trace ring. */
  readonly trace: SharedArrayBuffer | undefined;
}

/** What it says when the device is constructed. */
export interface VfioUserWorkerReady {
  /** Class name of the device. */
  readonly name: string;
  readonly shape: FunctionShape;
}

/** Argument of the command `powerOn`, after which the device accepts clients. */
export interface PowerOnCommand {
  readonly configuration: readonly string[];
  /** A listening socket; stays the sender's. */
  readonly listenFd: number;
}

/** What the worker reports by itself. */
export type VfioUserWorkerNotice =
  | { readonly type: 'guestError'; readonly text: string; readonly count: number }
  | { readonly type: 'failed'; readonly error: ErrorMessage }
  /** A client connected: whoever takes over needs this. */
  | { readonly type: 'connected'; readonly state: SharedArrayBuffer }
  | { readonly type: 'disconnected' };

const CAPABILITIES: PciHostCapabilities = { commandRegister: 'forwarded', intx: true };

/** How long nothing must have happened before the event loop has its turn, and the longest that it goes without one. */
const QUIET_MS = 1;
const LONGEST_ABSENCE_MS = 5;

/** Entry of the worker that serves one device over vfio-user, from power-on to power-off as often as asked. */
export const run = (task: BootstrapTask): Promise<void> =>
  runWorker<VfioUserWorkerData>(task, async (context) => {
    libc();
    const waiting = new PollSet(2);
    // Everything native is loaded: code of the device's author, which may never return, comes after this.
    context.control.release();
    const device = await loadDevice(new URL(context.data.module), context.data.exportName);
    const fn = new PciFunction(device);
    const { trace } = context.data;
    if (trace !== undefined) fn.observer = new TraceRecorder(new TraceRing(trace));
    await new DeviceLoop(context, fn, waiting).run();
  });

class DeviceLoop {
  readonly #context: WorkerContext<VfioUserWorkerData>;
  readonly #function: PciFunction;
  readonly #served: VfioUserFunction;
  readonly #clock = new LoopClock();
  readonly #waiting: PollSet;
  #listenFd = -1;
  #server: VfioUserServer | undefined;

  constructor(context: WorkerContext<VfioUserWorkerData>, fn: PciFunction, waiting: PollSet) {
    this.#context = context;
    this.#function = fn;
    this.#waiting = waiting;
    this.#served = new VfioUserFunction(fn, {
      start: () => this.#start(),
      stop: () => fn.stop(),
      disconnected: () => context.notify({ type: 'disconnected' } satisfies VfioUserWorkerNotice),
    });
    fn.connect({
      capabilities: CAPABILITIES,
      memory: this.#served.memory,
      clock: this.#clock,
      deliverInterrupt: (address, data) => this.#served.deliverInterrupt(address, data),
      setInterruptLine: (asserted) => this.#served.setInterruptLine(asserted),
      report: (notice) => context.notify(encodeNotice(notice)),
    });
  }

  /** Serves clients one after the other until the stop word is set. */
  async run(): Promise<void> {
    const { control } = this.#context;
    const { device, shape } = this.#function;
    const value: VfioUserWorkerReady = { name: device.constructor.name, shape };
    this.#context.ready(value);
    while (!control.stopRequested) {
      const fd = await this.#accept();
      if (fd >= 0) await this.#serve(fd);
    }
    this.#powerOff();
  }

  async #accept(): Promise<number> {
    const { attention, patience, control } = this.#context;
    this.#waiting.watch(0, this.#listenFd, PollEvent.IN);
    this.#waiting.watch(1, attention, PollEvent.IN);
    control.resting = true;
    this.#waiting.wait(patience);
    this.#wake(true);
    await this.#context.turn();
    return this.#listenFd < 0 ? -1 : acceptUnix(this.#listenFd);
  }

  async #serve(fd: number): Promise<void> {
    const state = ServerState.create();
    this.#context.notify({ type: 'connected', state: state.buffer } satisfies VfioUserWorkerNotice);
    const server = new VfioUserServer({ fd, state, device: (port) => this.#served.attach(port) });
    this.#server = server;
    try {
      await this.#serveUntilClosed(server);
    } finally {
      this.#server = undefined;
      server.close();
    }
  }

  /**
   * Waits in the kernel for messages, and goes back to the event loop when that has something to do, when there were
   * no messages for a moment, and at least every few milliseconds. An access seldom meets the event loop.
   */
  async #serveUntilClosed(server: VfioUserServer): Promise<void> {
    const { control, attention } = this.#context;
    let turnedAt = 0;
    let busy = true;
    while (!server.closed && !control.stopRequested) {
      const longest = busy ? QUIET_MS : this.#context.patience;
      const due = this.#clock.nextTimeout();
      control.resting = true;
      const wake = server.wait(due < 0 ? longest : Math.min(due, longest), attention);
      const called = (wake & Wake.CONTROL) !== 0;
      this.#wake(called);
      busy = wake === Wake.MESSAGE;
      const now = this.#clock.now;
      if (busy && now - turnedAt < LONGEST_ABSENCE_MS) continue;
      await this.#context.turn();
      turnedAt = now;
    }
  }

  /** Comes out of a wait: does what is due besides the socket. */
  #wake(called: boolean): void {
    const { control } = this.#context;
    control.resting = false;
    control.advance();
    if (called) this.#context.attend((method, argument) => this.#command(method, argument));
    this.#clock.runDue();
  }

  #start(): void {
    try {
      this.#function.start();
    } catch (error) {
      // A device that fails to start has reported it by then, and answers its guest as a dead one.
      if (this.#function.failure === undefined) throw error;
    }
  }

  #command(method: string, argument: unknown): unknown {
    switch (method) {
      case 'powerOn':
        this.#powerOn(argument as PowerOnCommand);
        return undefined;
      case 'powerOff':
        this.#powerOff();
        return undefined;
      default:
        throw new Error(`Cannot ${method}: a device worker has no such command`);
    }
  }

  #powerOn({ configuration, listenFd }: PowerOnCommand): void {
    this.#function.initialize();
    try {
      this.#function.setConfiguration(configuration);
    } catch (error) {
      this.#function.teardown();
      throw error;
    }
    this.#listenFd = listenFd;
  }

  #powerOff(): void {
    if (this.#listenFd < 0) return;
    this.#listenFd = -1;
    this.#server?.close();
    this.#function.teardown();
  }
}

function encodeNotice(notice: FunctionNotice): VfioUserWorkerNotice {
  return notice.type === 'failed' ? { type: 'failed', error: encodeError(notice.error) } : notice;
}
