import { eventLoopClock } from '../../device-host/event-loop-clock.ts';
import { TableDirectAccess } from '../../device-host/table-direct-access.ts';
import { GuestRam } from '../../engines/simulated/guest-ram.ts';
import { InterruptQueue } from '../../engines/simulated/interrupts.ts';
import type { SharedMachine } from '../../engines/simulated/machine.ts';
import { MachineSignals } from '../../engines/simulated/machine-signals.ts';
import { loadDevice } from '../../hdv/load-device.ts';
import { TraceRecorder } from '../../inspect/trace-recorder.ts';
import { TraceRing } from '../../inspect/trace-ring.ts';
import type { FunctionShape, PciDetails } from '../../pci/device-callbacks.ts';
import { DirectTable, type SharedPages } from '../../pci/direct-table.ts';
import type { FunctionNotice, PciHost, PciHostCapabilities } from '../../pci/host.ts';
import { PciFunction } from '../../pci/pci-function.ts';
import { type ErrorMessage, encodeError } from '../../transport/error-message.ts';
import { SlotChannel } from '../../transport/slot/slot-channel.ts';
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
export interface LoadedDevice {
  /** Class name of the device. */
  readonly name: string;
  readonly shape: FunctionShape;
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

  constructor(context: WorkerContext<DeviceWorkerData>) {
    this.#context = context;
  }

  async run(): Promise<void> {
    const context = this.#context;
    const { control, data } = context;
    const responder = new SlotResponder(new SlotChannel(data.channel));
    context.ready(await this.#load(data.first));
    await serveSlots({
      responder,
      target: this.#target,
      over: () => control.stopRequested,
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
    // A thread that was replaced must touch nothing that it shares.
    if (!responder.closed) for (const fn of this.#functions.values()) fn.teardown();
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
        this.#function(argument).stop();
        return undefined;
      case 'powerOff':
        this.#function(argument).teardown();
        return undefined;
      case 'unload':
        this.#function(argument).teardown();
        this.#functions.delete(argument as number);
        this.#tables.delete(argument as number);
        this.#target.delete(argument as number);
        return undefined;
      default:
        throw new Error(`Cannot ${method}: a device worker has no such command`);
    }
  }

  async #load({ number, module, exportName, trace }: LoadCommand): Promise<LoadedDevice> {
    const fn = new PciFunction(await loadDevice(new URL(module), exportName));
    if (trace !== undefined) fn.observer = new TraceRecorder(new TraceRing(trace));
    this.#functions.set(number, fn);
    const table = new DirectTable(fn.shape.bars);
    this.#tables.set(number, table);
    this.#target.set(number, fn, table);
    return { name: fn.device.constructor.name, shape: fn.shape, details: fn.getDetails() };
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
      report: (notice) => this.#notify({ number, ...encodeNotice(notice) }),
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

function encodeNotice(notice: FunctionNotice) {
  return notice.type === 'failed'
    ? { type: 'failed' as const, error: encodeError(notice.error) }
    : notice;
}
