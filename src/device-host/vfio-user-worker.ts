// Longer than most files: what a device worker is told, and the loop in which it does it.
import { DeviceFailedError } from '../device/device-failed-error.ts';
import type { PciDevice } from '../device/pci-device.ts';
import { libc } from '../ffi/libc.ts';
import { PollEvent, PollSet } from '../ffi/poll-set.ts';
import { acceptUnix } from '../ffi/unix-socket.ts';
import type { RestartResult } from '../hdv/device-placement.ts';
import { loadDevice } from '../hdv/load-device.ts';
import { TraceRecorder } from '../inspect/trace-recorder.ts';
import { TraceRing } from '../inspect/trace-ring.ts';
import { type DirectMemory, DirectTable } from '../pci/direct-table.ts';
import type { FunctionFace } from '../pci/function-fit.ts';
import { GuestSetup } from '../pci/guest-setup.ts';
import type { FunctionNotice, PciHostCapabilities } from '../pci/host.ts';
import { PciFunction } from '../pci/pci-function.ts';
import { type ErrorMessage, encodeError } from '../transport/error-message.ts';
import { type BootstrapTask, runWorker, type WorkerContext } from '../transport/worker-context.ts';
import { LONGEST_MESSAGE_WAIT, VfioUserServer, Wake } from '../vfio-user/server.ts';
import { type Protect, ServerState } from '../vfio-user/server-state.ts';
import { type BarPages, mappingOf, viewPages } from './bar-files.ts';
import { LoopClock } from './loop-clock.ts';
import { ReadStreak } from './read-streak.ts';
import { TableDirectAccess } from './table-direct-access.ts';
import { VfioUserFunction } from './vfio-user-function.ts';

/** What a device worker is started with. */
export interface VfioUserWorkerData {
  readonly module: string;
  readonly exportName: string | undefined;
  /** Memory of a trace ring. */
  readonly trace: SharedArrayBuffer | undefined;
}

/** What it says when the device is constructed. */
export interface VfioUserWorkerReady extends FunctionFace {
  /** Class name of the device. */
  readonly name: string;
}

/** Argument of the command `powerOn`: Initialize and SetConfiguration. */
export interface PowerOnCommand {
  readonly configuration: readonly string[];
  /** Memory for the pages that the device declares as mapped. */
  readonly pages: readonly BarPages[];
}

/** Argument of the command `listen`, after which the device accepts clients. */
export interface ListenCommand {
  /** A listening socket; stays the sender's. */
  readonly listenFd: number;
  /** What another device leaves to this one, which takes its place. */
  readonly inherits?: Inheritance;
}

/** What a device leaves behind. */
export interface Inheritance {
  /** The connection, which nobody serves; undefined where there is none. */
  readonly state: SharedArrayBuffer | undefined;
  /** What the guest has set up. */
  readonly setup: SharedArrayBuffer;
  /** State to go on with. */
  readonly snapshot: unknown;
}

/** Answer of `listen`: whether the state was taken, else why not, and where the guest's set-up is. */
export interface Inherited extends RestartResult {
  readonly setup: SharedArrayBuffer;
}

/** Argument of the command `handOver`, after which the device is off and its connection waits for another server. */
export interface HandOverCommand {
  readonly keepState: boolean;
}

/** Answer of `handOver`. */
export interface HandedOver {
  readonly state: SharedArrayBuffer | undefined;
  readonly snapshot: unknown;
  /** Why there is no snapshot. */
  readonly reason?: string;
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
    await new DeviceLoop(context, device, waiting).run();
  });

class DeviceLoop {
  readonly #context: WorkerContext<VfioUserWorkerData>;
  readonly #clock = new LoopClock();
  readonly #waiting: PollSet;
  #function: PciFunction;
  #served: VfioUserFunction;
  #pages: readonly BarPages[] = [];
  #listenFd = -1;
  /** What the device was told; undefined while it is off. */
  #configuration: readonly string[] | undefined;
  #server: VfioUserServer | undefined;
  #inherited: ServerState | undefined;
  /** A state of another device is being tried: what goes wrong with it is no failure of this one. */
  #isTrying = false;
  readonly #protect: Protect;

  constructor(context: WorkerContext<VfioUserWorkerData>, device: PciDevice, waiting: PollSet) {
    this.#context = context;
    this.#protect = (run) => context.control.protect(run);
    this.#waiting = waiting;
    this.#function = this.#functionOf(device);
    this.#served = this.#serverOf(this.#function);
  }

  /** Serves clients one after the other until the stop word is set. */
  async run(): Promise<void> {
    const { control } = this.#context;
    const { device, setup, shape } = this.#function;
    const { name } = device.constructor;
    this.#context.ready({ name, shape, setup: setup.buffer } satisfies VfioUserWorkerReady);
    while (!control.stopRequested) {
      if (this.#inherited !== undefined) {
        await this.#goOn(this.#inherited);
        continue;
      }
      const fd = await this.#accept();
      if (fd >= 0) await this.#serve(fd);
    }
    this.#powerOff();
  }

  #functionOf(device: PciDevice): PciFunction {
    const fn = new PciFunction(device);
    const { trace } = this.#context.data;
    if (trace !== undefined) fn.observer = new TraceRecorder(new TraceRing(trace));
    return fn;
  }

  #serverOf(fn: PciFunction): VfioUserFunction {
    const table = new DirectTable(fn.shape.bars);
    const direct = new TableDirectAccess(table, (bar, offset) => this.#memoryAt(bar, offset));
    const hooks = {
      start: () => this.#start(),
      stop: () => fn.stop(),
      disconnected: () => this.#notify({ type: 'disconnected' }),
    };
    const served = new VfioUserFunction(fn, hooks, {
      table,
      mapping: (bar) => mappingOf(this.#pages, bar),
    });
    fn.connect({
      capabilities: CAPABILITIES,
      memory: served.memory,
      clock: this.#clock,
      deliverInterrupt: (address, data) => served.deliverInterrupt(address, data),
      setInterruptLine: (asserted) => served.setInterruptLine(asserted),
      watchDoorbells: (row, ring) => direct.watchDoorbells(row, ring),
      barMemory: (size, bar, offset) => direct.barMemory(size, bar, offset),
      report: (notice) => {
        if (!this.#isTrying) this.#notify(encodeNotice(notice));
      },
    });
    return served;
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
    const state = ServerState.create(this.#protect);
    this.#notify({ type: 'connected', state: state.buffer });
    const server = new VfioUserServer({
      fd,
      state,
      device: (port) => this.#served.attach(port),
    });
    // QEMU would walk the capabilities of a device that reads all ones for ever.
    if (this.#function.failure !== undefined) server.close();
    await this.#serveUntilClosed(server);
  }

  /** Serves a connection that another device had. */
  async #goOn(state: ServerState): Promise<void> {
    this.#inherited = undefined;
    state.takeOver();
    await this.#serveUntilClosed(
      new VfioUserServer({ state, inherits: true, device: (port) => this.#served.attach(port) }),
    );
  }

  async #serveUntilClosed(server: VfioUserServer): Promise<void> {
    this.#server = server;
    try {
      await this.#loop(server);
    } finally {
      this.#server = undefined;
      server.close();
    }
  }

  /**
   * Waits in the kernel for messages, and goes back to the event loop when that has something to do, when there were
   * no messages for a moment, and at least every few milliseconds. An access seldom meets the event loop. Messages and
   * timers take turns: what one {@link VfioUserServer.wait} serves, then one timer that is due. Within a
   * {@link ReadStreak}, with nothing due soon, it waits for messages alone.
   */
  async #loop(server: VfioUserServer): Promise<void> {
    const { control, attention } = this.#context;
    const streak = new ReadStreak();
    let turnedAt = 0;
    let busy = true;
    let patience = 0;
    while (!server.closed && !control.stopRequested) {
      const longest = busy ? QUIET_MS : patience;
      const due = this.#clock.nextTimeout();
      control.resting = true;
      let wake: number;
      if (streak.mayIgnoreEvents && isFar(due) && isFar(patience)) {
        wake = server.waitForMessages();
        streak.ignored(server.servedOnlyReads);
        this.#wake(false);
      } else {
        wake = server.wait(due < 0 ? longest : Math.min(due, longest), attention);
        const called = (wake & Wake.CONTROL) !== 0;
        streak.watched(called, server.servedOnlyReads);
        this.#wake(called);
        // What the device has set up since the loop's turn.
        if (streak.mayIgnoreEvents) patience = this.#context.patience;
      }
      busy = wake === Wake.MESSAGE || this.#clock.nextTimeout() === 0;
      const now = this.#clock.now;
      if (busy && now - turnedAt < LONGEST_ABSENCE_MS) continue;
      await this.#context.turn();
      streak.turned();
      patience = this.#context.patience;
      turnedAt = now;
    }
  }

  /** Comes out of a wait: does what is due besides the socket. */
  #wake(called: boolean): void {
    const { control } = this.#context;
    control.resting = false;
    control.advance();
    if (called) this.#context.attend((method, argument) => this.#command(method, argument));
    this.#clock.runNext();
  }

  #start(): void {
    try {
      this.#function.start();
    } catch (error) {
      // A device that fails to start has reported it by then, and answers its guest as a dead one.
      if (this.#function.failure === undefined) throw error;
    }
  }

  #memoryAt(bar: number, offset: number): DirectMemory | undefined {
    const there = this.#pages.find((each) => each.bar === bar && each.offset === offset);
    if (there === undefined) return undefined;
    return { bytes: this.#protect(() => viewPages(there)), writable: true };
  }

  #command(method: string, argument: unknown): unknown {
    switch (method) {
      case 'configure':
        // Another instance: this one is still to come, when the device that it replaces has stopped.
        new PciFunction(this.#instance()).setConfiguration(
          (argument as PowerOnCommand).configuration,
        );
        return undefined;
      case 'powerOn':
        this.#powerOn(argument as PowerOnCommand);
        return undefined;
      case 'listen':
        return this.#listen(argument as ListenCommand);
      case 'handOver':
        return this.#handOver(argument as HandOverCommand);
      case 'powerOff':
        this.#powerOff();
        return undefined;
      default:
        throw new Error(`Cannot ${method}: a device worker has no such command`);
    }
  }

  #powerOn({ configuration, pages }: PowerOnCommand): void {
    this.#pages = pages;
    this.#function.initialize();
    try {
      this.#function.setConfiguration(configuration);
    } catch (error) {
      this.#function.teardown();
      throw error;
    }
    this.#configuration = configuration;
  }

  #listen({ listenFd, inherits }: ListenCommand): Inherited {
    const result = inherits === undefined ? NOTHING_KEPT : this.#inherit(inherits);
    this.#listenFd = listenFd;
    return { ...result, setup: this.#function.setup.buffer };
  }

  #inherit({ setup, snapshot, state }: Inheritance): RestartResult {
    const result = snapshot === undefined ? NOTHING_KEPT : this.#restore(snapshot);
    // Also after a snapshot: a guest goes on to write config space of a device that is dead.
    this.#function.adopt(GuestSetup.of(setup));
    if (state !== undefined) this.#inherited = ServerState.of(state, this.#protect);
    return result;
  }

  /** A device that does not take the state begins anew, as another instance: this one may be half restored. */
  #restore(snapshot: unknown): RestartResult {
    this.#isTrying = true;
    try {
      this.#function.restore(snapshot);
      return { kept: true };
    } catch (error) {
      this.#function.teardown();
      this.#function = this.#functionOf(this.#instance());
      this.#served = this.#serverOf(this.#function);
      this.#powerOn({ configuration: this.#configuration ?? [], pages: this.#pages });
      return { kept: false, reason: reasonOf(error) };
    } finally {
      this.#isTrying = false;
    }
  }

  /** One more device of the same class. */
  #instance(): PciDevice {
    return new (this.#function.device.constructor as new () => PciDevice)();
  }

  /** Between messages. The client's next one waits in the socket for whoever serves then. */
  #handOver({ keepState }: HandOverCommand): HandedOver {
    const fn = this.#function;
    fn.stop();
    let snapshot: unknown;
    let reason: string | undefined;
    if (keepState) {
      try {
        snapshot = fn.save();
      } catch (error) {
        reason = reasonOf(error);
      }
    }
    const state = this.#server?.state.buffer;
    this.#server?.relinquish();
    this.#powerOff();
    return { state, snapshot, ...(reason === undefined ? {} : { reason }) };
  }

  #powerOff(): void {
    if (this.#configuration === undefined) return;
    this.#configuration = undefined;
    this.#listenFd = -1;
    this.#server?.close();
    this.#function.teardown();
  }

  #notify(notice: VfioUserWorkerNotice): void {
    this.#context.notify(notice);
  }
}

/** Whether a time is none, or later than any wait for messages alone lasts. */
function isFar(ms: number): boolean {
  return ms < 0 || ms > LONGEST_MESSAGE_WAIT;
}

const NOTHING_KEPT: RestartResult = { kept: false };

function reasonOf(error: unknown): string {
  const cause = error instanceof DeviceFailedError ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}

function encodeNotice(notice: FunctionNotice): VfioUserWorkerNotice {
  return notice.type === 'failed' ? { type: 'failed', error: encodeError(notice.error) } : notice;
}
