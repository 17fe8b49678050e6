// Longer than most files: what a device worker is told, and what it does for each device.
import { DeviceFailedError } from '../../device/device-failed-error.ts';
import type { PciDevice } from '../../device/pci-device.ts';
import { eventLoopClock } from '../../device-host/event-loop-clock.ts';
import { TableDirectAccess } from '../../device-host/table-direct-access.ts';
import { GuestRam } from '../../engines/simulated/guest-ram.ts';
import { InterruptQueue } from '../../engines/simulated/interrupts.ts';
import type { SharedMachine } from '../../engines/simulated/machine.ts';
import { MachineSignals } from '../../engines/simulated/machine-signals.ts';
import type { RestartResult } from '../../hdv/device-placement.ts';
import { loadDevice } from '../../hdv/load-device.ts';
import { TraceRecorder } from '../../inspect/trace-recorder.ts';
import { TraceRing } from '../../inspect/trace-ring.ts';
import type { PciDetails } from '../../pci/device-callbacks.ts';
import { DirectTable, type SharedPages } from '../../pci/direct-table.ts';
import type { FunctionFace } from '../../pci/function-fit.ts';
import { GuestSetup } from '../../pci/guest-setup.ts';
import type { FunctionNotice, PciHost, PciHostCapabilities } from '../../pci/host.ts';
import { PciFunction } from '../../pci/pci-function.ts';
import { type ErrorMessage, encodeError } from '../../transport/error-message.ts';
import { SlotChannel } from '../../transport/slot/slot-channel.ts';
import { POSTED_BATCH, RING_ENTRIES } from '../../transport/slot/slot-layout.ts';
import { serveSlots } from '../../transport/slot/slot-loop.ts';
import { SlotResponder } from '../../transport/slot/slot-responder.ts';
import {
  type BootstrapTask,
  runWorker,
  type WorkerContext,
} from '../../transport/worker-context.ts';
import { FunctionTarget } from './function-target.ts';

/** Argument of the command `load`, after which the worker says `loaded` or `notLoaded`. */
export interface LoadCommand {
  /** What the function is called in accesses and commands from now on. */
  readonly number: number;
  readonly module: string;
  readonly exportName: string | undefined;
  /** Memory of a trace ring. */
  readonly trace: SharedArrayBuffer | undefined;
}

/** What a device worker is started with. */
export interface DeviceWorkerData {
  readonly channel: SharedArrayBuffer;
  readonly first: LoadCommand;
}

/** A device that was constructed. */
export interface LoadedDevice extends FunctionFace {
  /** Class name of the device. */
  readonly name: string;
  readonly details: PciDetails;
}

/** Argument of the command `powerOn`: Initialize and SetConfiguration. */
export interface PowerOnCommand {
  readonly number: number;
  readonly machine: SharedMachine;
  /** Number of the interrupt line in the machine. */
  readonly line: number;
  readonly configuration: readonly string[];
  /** Memory for the pages that the device declares as mapped, which processors reach as well. */
  readonly pages: readonly SharedPages[];
}

/** Argument of the command `configure`, which tries a configuration on another instance. */
export interface ConfigureCommand {
  readonly number: number;
  readonly configuration: readonly string[];
}

/** Argument of the command `restore`: what `save` gave. Before the start. */
export interface RestoreCommand {
  readonly number: number;
  readonly state: unknown;
}

/** Argument of the command `handOver`: the device stops, and the worker leaves the channel to another. */
export interface HandOverCommand {
  readonly number: number;
  readonly keepState: boolean;
}

/** Answer of `handOver`. */
export interface HandedOver {
  readonly snapshot: unknown;
  /** Why there is no snapshot, where one was asked for. */
  readonly reason?: string;
}

/** Argument of the command `takePlace`: a device goes on where another one was. */
export interface TakePlaceCommand {
  readonly powerOn: PowerOnCommand;
  /** What the guest has set up. */
  readonly setup: SharedArrayBuffer;
  /** State to go on with; undefined where there is none. */
  readonly snapshot: unknown;
  /** Did the other one run? */
  readonly started: boolean;
}

/** Argument of the command `swap`: as `takePlace`, of a device on the same worker. */
export interface SwapCommand extends Omit<TakePlaceCommand, 'snapshot'> {
  /** What the new device is called until it has the other one's number. */
  readonly from: number;
  readonly keepState: boolean;
}

/** Answer of `takePlace` and `swap`: where the guest's set-up is, and whether the state was taken. */
export interface TookPlace extends RestartResult {
  readonly setup: SharedArrayBuffer;
}

/** What the worker reports by itself. */
export type DeviceWorkerNotice = { readonly number: number } & (
  | { readonly type: 'loaded'; readonly device: LoadedDevice }
  | { readonly type: 'notLoaded'; readonly error: ErrorMessage }
  | { readonly type: 'guestError'; readonly text: string; readonly count: number }
  | { readonly type: 'failed'; readonly error: ErrorMessage }
);

const CAPABILITIES: PciHostCapabilities = { commandRegister: 'forwarded', intx: true };

/** Entry of the worker that serves devices to simulated machines, through slots. */
export const run = (task: BootstrapTask): Promise<void> =>
  runWorker<DeviceWorkerData>(task, async (context) => {
    // Everything native is loaded: code of the device's author, which may never return, comes after this.
    context.control.release();
    await new DeviceThread(context).run();
  });

class DeviceThread {
  readonly #context: WorkerContext<DeviceWorkerData>;
  readonly #target = new FunctionTarget();
  readonly #functions = new Map<number, PciFunction>();
  readonly #tables = new Map<number, DirectTable>();
  #responder: SlotResponder | undefined;
  /** The channel to be served next; the worker's life ends when there is none. */
  #next: SlotChannel | undefined;
  /** The channel is another worker's from now on. */
  #hasLeft = false;
  /** The state of another device is being tried: what goes wrong with it is no failure of this one. */
  #isTrying = false;

  constructor(context: WorkerContext<DeviceWorkerData>) {
    this.#context = context;
  }

  async run(): Promise<void> {
    const context = this.#context;
    const { control, data } = context;
    this.#next = new SlotChannel(data.channel);
    context.ready(await this.#load(data.first));
    while (this.#next !== undefined && !control.stopRequested) {
      const responder = new SlotResponder(this.#next);
      this.#next = undefined;
      await this.#serve(responder);
      // A thread that was replaced must touch nothing that it shares.
      if (responder.closed) return;
    }
    for (const fn of this.#functions.values()) fn.teardown();
  }

  async #serve(responder: SlotResponder): Promise<void> {
    const context = this.#context;
    const { control } = context;
    this.#responder = responder;
    await serveSlots({
      responder,
      target: this.#target,
      over: () => control.stopRequested || this.#hasLeft || this.#next !== undefined,
      turn: async () => {
        control.advance();
        await context.turn();
        control.advance();
      },
      called: () => context.attend((method, argument) => this.#command(method, argument)),
      resting: (rests) => {
        control.resting = rests;
        control.advance();
      },
    });
  }

  /** A command overtakes posted writes, and a function that has stopped would lose them. */
  #serveWhatWasPosted(): void {
    for (let pass = 0; pass < RING_ENTRIES / POSTED_BATCH; pass++) {
      if (this.#responder === undefined || this.#responder.serve(this.#target) === 0) return;
    }
  }

  #command(method: string, argument: unknown): unknown {
    switch (method) {
      case 'load':
        this.#loadLater(argument as LoadCommand);
        return undefined;
      case 'powerOn':
        this.#powerOn(argument as PowerOnCommand);
        return undefined;
      case 'start':
        this.#function(argument).start();
        return undefined;
      case 'stop':
        this.#serveWhatWasPosted();
        this.#function(argument).stop();
        return undefined;
      case 'save':
        return this.#function(argument).save();
      case 'restore': {
        const { number, state } = argument as RestoreCommand;
        this.#function(number).restore(state);
        return undefined;
      }
      case 'powerOff':
        this.#function(argument).teardown();
        return undefined;
      case 'unload':
        this.#function(argument).teardown();
        this.#forget(argument as number);
        return undefined;
      case 'configure':
        this.#configure(argument as ConfigureCommand);
        return undefined;
      case 'handOver':
        this.#hasLeft = true;
        return this.#retire(argument as HandOverCommand);
      case 'takePlace':
        return this.#takePlace(argument as TakePlaceCommand);
      case 'swap':
        return this.#swap(argument as SwapCommand);
      case 'serve':
        this.#next = new SlotChannel(argument as SharedArrayBuffer);
        return undefined;
      default:
        throw new Error(`Cannot ${method}: a device worker has no such command`);
    }
  }

  async #load({ number, module, exportName, trace }: LoadCommand): Promise<LoadedDevice> {
    const fn = new PciFunction(await loadDevice(new URL(module), exportName));
    if (trace !== undefined) fn.observer = new TraceRecorder(new TraceRing(trace));
    this.#enter(number, fn);
    const { device, setup, shape } = fn;
    const { name } = device.constructor;
    return { name, shape, details: fn.getDetails(), setup: setup.buffer };
  }

  #enter(number: number, fn: PciFunction): void {
    const table = new DirectTable(fn.shape.bars);
    this.#functions.set(number, fn);
    this.#tables.set(number, table);
    this.#target.set(number, fn, table);
  }

  #forget(number: number): void {
    this.#functions.delete(number);
    this.#tables.delete(number);
    this.#target.delete(number);
  }

  /** On another instance: the device is still to come, when the one that it replaces has stopped. */
  #configure({ number, configuration }: ConfigureCommand): void {
    new PciFunction(another(this.#function(number))).setConfiguration(configuration);
  }

  /** Stops a device whose place another one takes. */
  #retire({ number, keepState }: HandOverCommand): HandedOver {
    const fn = this.#function(number);
    fn.stop();
    let handed: HandedOver = { snapshot: undefined };
    if (keepState) {
      try {
        handed = { snapshot: fn.save() };
      } catch (error) {
        handed = { snapshot: undefined, reason: reasonOf(error) };
      }
    }
    fn.teardown();
    return handed;
  }

  #swap({ from, keepState, ...rest }: SwapCommand): TookPlace {
    const { number } = rest.powerOn;
    const isThere = this.#functions.has(number);
    const { snapshot, reason } = isThere
      ? this.#retire({ number, keepState })
      : { snapshot: undefined, reason: DEAD };
    const fn = this.#function(from);
    this.#forget(from);
    this.#enter(number, fn);
    const result = this.#takePlace({ ...rest, snapshot });
    return reason === undefined || !keepState ? result : { reason, ...result };
  }

  #takePlace({ powerOn, setup, snapshot, started }: TakePlaceCommand): TookPlace {
    const { number } = powerOn;
    this.#powerOn(powerOn);
    // The old device may have left its line asserted.
    this.#function(number).host?.setInterruptLine(false);
    const result = snapshot === undefined ? { kept: false } : this.#restore(powerOn, snapshot);
    const fn = this.#function(number);
    fn.adopt(GuestSetup.of(setup));
    if (started) {
      try {
        fn.start();
      } catch (error) {
        // A device that fails to start has reported it by then, and answers its guest as a dead one.
        if (fn.failure === undefined) throw error;
      }
    }
    return { ...result, setup: fn.setup.buffer };
  }

  /** A device that does not take the state begins anew, as another instance: this one may be half restored. */
  #restore(powerOn: PowerOnCommand, snapshot: unknown): RestartResult {
    const fn = this.#function(powerOn.number);
    this.#isTrying = true;
    try {
      fn.restore(snapshot);
      return { kept: true };
    } catch (error) {
      fn.teardown();
      const fresh = new PciFunction(another(fn));
      fresh.observer = fn.observer;
      this.#enter(powerOn.number, fresh);
      this.#powerOn(powerOn);
      return { kept: false, reason: reasonOf(error) };
    } finally {
      this.#isTrying = false;
    }
  }

  #loadLater(command: LoadCommand): void {
    const { number } = command;
    this.#load(command).then(
      (device) => this.#notify({ number, type: 'loaded', device }),
      (error) => this.#notify({ number, type: 'notLoaded', error: encodeError(error) }),
    );
  }

  #powerOn({ number, machine, line, configuration, pages }: PowerOnCommand): void {
    const fn = this.#function(number);
    fn.connect(this.#hostOf(number, machine, line, pages));
    fn.initialize();
    try {
      fn.setConfiguration(configuration);
    } catch (error) {
      fn.teardown();
      throw error;
    }
  }

  #hostOf(
    number: number,
    machine: SharedMachine,
    line: number,
    pages: readonly SharedPages[],
  ): PciHost {
    const memory = new GuestRam(machine.ram, machine.readOnly);
    this.#context.control.protect(() => memory.usePlainViews());
    const signals = new MachineSignals(machine.signals);
    const word = Buffer.alloc(4);
    const table = this.#tables.get(number) as DirectTable;
    const direct = new TableDirectAccess(table, (bar, offset) => memoryAt(pages, bar, offset));
    return {
      capabilities: CAPABILITIES,
      memory,
      clock: eventLoopClock,
      deliverInterrupt(address, data) {
        if (InterruptQueue.decodes(address)) {
          signals.sendMessage(address, data);
        } else {
          word.writeUInt32LE(data >>> 0);
          memory.write(address, word);
        }
      },
      setInterruptLine: (asserted) => signals.sendLine(line, asserted),
      watchDoorbells: (row, ring) => direct.watchDoorbells(row, ring),
      barMemory: (size, bar, offset) => direct.barMemory(size, bar, offset),
      report: (notice) => {
        if (!this.#isTrying) this.#notify({ number, ...encodeNotice(notice) });
      },
    };
  }

  #function(number: unknown): PciFunction {
    const fn = this.#functions.get(number as number);
    if (fn === undefined) throw new Error(`Cannot find function ${String(number)} on this worker`);
    return fn;
  }

  #notify(notice: DeviceWorkerNotice): void {
    this.#context.notify(notice);
  }
}

function memoryAt(pages: readonly SharedPages[], bar: number, offset: number) {
  const there = pages.find((each) => each.bar === bar && each.offset === offset);
  if (there === undefined) return undefined;
  const { memory, start, size, shown, writable } = there;
  return {
    bytes: new Uint8Array(memory, start, size),
    writable,
    shared: { memory, start, shown },
  };
}

/** Why a dead device leaves no state. */
const DEAD = 'the old device was dead';

/** One more device of the class of a function's. */
function another({ device }: PciFunction): PciDevice {
  return new (device.constructor as new () => PciDevice)();
}

function reasonOf(error: unknown): string {
  const cause = error instanceof DeviceFailedError ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}

function encodeNotice(notice: FunctionNotice) {
  return notice.type === 'failed'
    ? { type: 'failed' as const, error: encodeError(notice.error) }
    : notice;
}
