import { InterruptLine } from '../../engines/simulated/interrupts.ts';
import {
  type MachineEnd,
  type SharedMachine,
  SimulatedMachine,
} from '../../engines/simulated/machine.ts';
import { MachineSignals } from '../../engines/simulated/machine-signals.ts';
import { barSizes, type Slot } from '../../engines/simulated/root-complex.ts';
import type { PciDetails } from '../../pci/device-callbacks.ts';
import { DirectTable, type SharedPages } from '../../pci/direct-table.ts';
import { SlotChannel } from '../../transport/slot/slot-channel.ts';
import { SlotRequester } from '../../transport/slot/slot-requester.ts';
import {
  type BootstrapTask,
  runWorker,
  type WorkerContext,
} from '../../transport/worker-context.ts';
import { RemoteFunction } from './remote-function.ts';
import { type GuestProgram, VirtualProcessor } from './virtual-processor.ts';

/** A function on the bus, as a processor on another thread reaches it. */
export interface BusRow {
  /** Differs from every other function that was ever on this bus. */
  readonly key: number;
  /** Device number on the bus. */
  readonly device: number;
  /** Channel of the function's thread, by a number that stands for it. */
  readonly channel: number;
  readonly memory: SharedArrayBuffer;
  /** What it is called there. */
  readonly number: number;
  readonly details: PciDetails;
  /** Number of its interrupt line. */
  readonly line: number;
  /** Pages that processors reach without its thread. */
  readonly pages: readonly SharedPages[];
}

/** What the worker of a virtual processor is started with. */
export interface ProcessorData {
  readonly module: string;
  readonly exportName: string;
  readonly argument: unknown;
  readonly id: number;
  readonly count: number;
  readonly machine: SharedMachine;
  readonly bus: readonly BusRow[];
  /** One word: 1 when every processor is ready. */
  readonly go: SharedArrayBuffer;
}

/** What the worker reports by itself. */
export type ProcessorNotice =
  | { readonly type: 'returned'; readonly value: unknown }
  | { readonly type: 'machineEnd'; readonly end: MachineEnd };

/** Entry of the worker that is one virtual processor. */
export const run = (task: BootstrapTask): Promise<void> =>
  runWorker<ProcessorData>(task, async (context) => {
    const { data } = context;
    context.control.release();
    const program = await loadProgram(data.module, data.exportName);
    const signals = new MachineSignals(data.machine.signals);
    const machine = new ProcessorMachine(data, signals);
    machine.onEnd = (end) => notify(context, { type: 'machineEnd', end });
    const bus = new ProcessorBus(machine, data);
    machine.bus.onElsewhereChanged = () =>
      context.attend((_method, rows) => bus.update(rows as readonly BusRow[]));
    // What a former processor of this number did not take.
    machine.interrupts.take();
    context.ready(undefined);
    Atomics.wait(new Int32Array(data.go), 0, 0);
    const processor = new VirtualProcessor(machine, data.argument, () => signals.shutDownRequested);
    notify(context, { type: 'returned', value: await program(processor) });
  });

async function loadProgram(module: string, exportName: string): Promise<GuestProgram> {
  const exports = (await import(module)) as Readonly<Record<string, unknown>>;
  const program = exports[exportName];
  if (typeof program === 'function') return program as GuestProgram;
  throw new TypeError(
    `Cannot run ${module}: its export ${exportName} is not a function that takes a processor`,
  );
}

function notify(context: WorkerContext<ProcessorData>, notice: ProcessorNotice): void {
  context.notify(notice);
}

/** Stands still while its machine is paused: at its next access. */
class ProcessorMachine extends SimulatedMachine {
  readonly #signals: MachineSignals;

  constructor({ id, count, machine }: ProcessorData, signals: MachineSignals) {
    super({ processor: { id, count, of: machine } });
    this.#signals = signals;
  }

  override read(gpa: number, width: 1 | 2 | 4): number {
    this.#signals.standStill();
    return super.read(gpa, width);
  }

  override write(gpa: number, width: 1 | 2 | 4, value: number): void {
    this.#signals.standStill();
    super.write(gpa, width, value);
  }

  override idle(ms: number): void {
    this.#signals.standStill();
    super.idle(ms);
  }
}

/** Keeps a processor's bus as main's is. */
class ProcessorBus {
  readonly #machine: SimulatedMachine;
  readonly #index: number;
  readonly #requesters = new Map<number, SlotRequester>();
  readonly #plugged = new Map<
    number,
    {
      readonly slot: Slot;
      readonly line: number;
      readonly fn: RemoteFunction;
      readonly direct: DirectTable;
    }
  >();

  constructor(machine: SimulatedMachine, { id, bus }: ProcessorData) {
    this.#machine = machine;
    this.#index = id + 1;
    this.update(bus);
  }

  update(rows: readonly BusRow[]): void {
    const machine = this.#machine;
    const keys = new Set(rows.map(({ key }) => key));
    for (const [key, { slot, line }] of this.#plugged) {
      if (keys.has(key)) continue;
      this.#plugged.delete(key);
      machine.unplug(slot);
      machine.removeLine(line);
    }
    for (const row of rows) {
      const postsWrites = row.pages.length === 0;
      const known = this.#plugged.get(row.key);
      if (known !== undefined) {
        known.direct.mirror(row.pages);
        known.fn.postsWrites = postsWrites;
        continue;
      }
      const line = new InterruptLine();
      machine.addLine(line, row.line);
      const fn = new RemoteFunction(this.#requesterFor(row), row.number, row.details, postsWrites);
      const direct = new DirectTable(barSizes(row.details.probedBars));
      direct.mirror(row.pages);
      const slot = machine.plug(fn, line, row.device, direct);
      this.#plugged.set(row.key, { slot, line: row.line, fn, direct });
    }
    machine.refreshLines();
  }

  #requesterFor({ channel, memory }: BusRow): SlotRequester {
    const requester =
      this.#requesters.get(channel) ?? new SlotRequester(new SlotChannel(memory), this.#index);
    this.#requesters.set(channel, requester);
    return requester;
  }
}
