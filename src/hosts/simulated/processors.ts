import type { SimulatedEngine } from '../../engines/simulated/engine.ts';
import type { SimulatedMachine } from '../../engines/simulated/machine.ts';
import { MAX_PROCESSORS, type MachineSignals } from '../../engines/simulated/machine-signals.ts';
import type { Slot } from '../../engines/simulated/root-complex.ts';
import type { DeviceWorker } from '../../transport/device-worker.ts';
import { loadOnWorker } from '../../transport/load-on-worker.ts';
import type { SlotChannel } from '../../transport/slot/slot-channel.ts';
import { moduleExtension } from '../../transport/typescript-loader.ts';
import type { RunProgramOptions } from '../program-host.ts';
import { InlineFunctions } from './inline-functions.ts';
import type { BusRow, ProcessorData, ProcessorNotice } from './processor-worker.ts';
import { PlacedFunction } from './remote-function.ts';

const ENTRY = new URL(`./processor-worker${moduleExtension}`, import.meta.url);

/**
 * As {@link runProgram}, in the machine of a system.
 * @throws RangeError when the system is not there, besides
 */
export async function runProgramOf(
  engine: SimulatedEngine,
  systemId: string,
  module: URL,
  options?: RunProgramOptions,
): Promise<readonly unknown[]> {
  const machine = engine.machineOf(systemId);
  if (machine === undefined) {
    throw new RangeError(
      `Cannot run a guest program: there is no system ${systemId} on this host, or it has ended`,
    );
  }
  return runProgram(machine, module, options);
}

/**
 * Runs a guest program on virtual processors, each on a worker. Meanwhile interrupts go to the processors, and this
 * thread's own accesses to devices on workers go on being possible.
 * @returns what the program returned on each processor
 * @throws what the program threw on one of them: the others are ended; Error when the machine ended under it, unless
 * the program itself has ended it
 */
export async function runProgram(
  machine: SimulatedMachine,
  module: URL,
  options: RunProgramOptions = {},
): Promise<readonly unknown[]> {
  const { processors = 1, signal } = options;
  if (!(Number.isInteger(processors) && processors >= 1 && processors <= MAX_PROCESSORS)) {
    throw new RangeError(
      `Cannot run a guest program on ${processors} processors: use 1 to ${MAX_PROCESSORS}`,
    );
  }
  if (machine.runsProgram) {
    throw new Error('Cannot run a guest program: another one runs in this machine');
  }
  signal?.throwIfAborted();
  machine.runsProgram = true;
  const program = new RunningProgram(machine, module, options);
  try {
    return await program.run(processors);
  } finally {
    machine.runsProgram = false;
  }
}

class RunningProgram {
  readonly #machine: SimulatedMachine;
  readonly #module: URL;
  readonly #options: RunProgramOptions;
  readonly #signals: MachineSignals;
  readonly #inline: InlineFunctions;
  readonly #workers: DeviceWorker[] = [];
  readonly #returned: unknown[] = [];
  readonly #keys = new Map<Slot, { readonly key: number; readonly line: number }>();
  readonly #channels = new Map<SlotChannel, number>();
  #nextKey = 1;
  #endedByGuest = false;

  constructor(machine: SimulatedMachine, module: URL, options: RunProgramOptions) {
    this.#machine = machine;
    this.#module = module;
    this.#options = options;
    machine.share();
    this.#signals = machine.signals as MachineSignals;
    this.#inline = new InlineFunctions(machine);
  }

  async run(processors: number): Promise<readonly unknown[]> {
    const { signal } = this.#options;
    const machine = this.#machine;
    const { onShutDown } = machine;
    const go = new SharedArrayBuffer(4);
    let serving: Promise<void> | undefined;
    const end = (): void => void this.#terminate();
    machine.ended.addEventListener('abort', end);
    signal?.addEventListener('abort', end);
    try {
      await this.#start(processors, go);
      signal?.throwIfAborted();
      this.#signals.processors = processors;
      machine.onShutDown = () => {
        this.#signals.shutDownRequested = true;
      };
      machine.bus.onPlugged = () => this.#tellBus();
      this.#tellBus();
      serving = this.#inline.serve();
      Atomics.store(new Int32Array(go), 0, 1);
      Atomics.notify(new Int32Array(go), 0);
      await this.#untilEnded();
      return this.#returned;
    } finally {
      machine.ended.removeEventListener('abort', end);
      signal?.removeEventListener('abort', end);
      machine.bus.onPlugged = undefined;
      machine.onShutDown = onShutDown;
      await this.#terminate();
      this.#inline.stop();
      await serving;
      this.#signals.processors = 0;
      this.#signals.shutDownRequested = false;
      for (const slot of this.#keys.keys()) this.#forget(slot);
      machine.refreshLines();
    }
  }

  async #start(processors: number, go: SharedArrayBuffer): Promise<void> {
    const { argument, export: exportName = 'default' } = this.#options;
    const bus = this.#rows();
    const starts = Array.from({ length: processors }, async (_, id) => {
      const data: ProcessorData = {
        module: this.#module.href,
        exportName,
        argument,
        id,
        count: processors,
        machine: this.#machine.share(),
        bus,
        go,
      };
      const worker = await loadOnWorker(this.#module, {
        entry: ENTRY,
        data,
        notice: (notice) => this.#noticed(id, notice as ProcessorNotice),
      });
      this.#workers.push(worker);
    });
    for (const start of await Promise.allSettled(starts)) {
      if (start.status === 'rejected') throw start.reason;
    }
    this.#returned.length = processors;
  }

  /** Waits for every processor; one that fails, or the machine's end, ends the others. */
  async #untilEnded(): Promise<void> {
    const { signal } = this.#options;
    const ends = this.#workers.map(async ({ ended }) => {
      const { error } = await ended;
      if (error !== undefined) throw error;
    });
    await Promise.all(ends);
    signal?.throwIfAborted();
    if (this.#machine.ended.aborted && !this.#endedByGuest) {
      throw new Error('The guest program was ended: its machine has ended');
    }
  }

  async #terminate(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #noticed(id: number, notice: ProcessorNotice): void {
    if (notice.type === 'returned') {
      this.#returned[id] = notice.value;
      return;
    }
    this.#endedByGuest = true;
    const { end } = notice;
    if (end.kind === 'powerOff') this.#machine.powerOff();
    else this.#machine.crash(end.report);
  }

  /** Tells the processors what is on the bus, before they can see that it has changed. */
  #tellBus(): void {
    const rows = this.#rows();
    for (const worker of this.#workers) {
      if (!worker.over) worker.call('bus', rows).catch(() => undefined);
    }
    this.#signals.busChanged();
  }

  #rows(): BusRow[] {
    const { slots } = this.#machine.bus;
    for (const slot of this.#keys.keys()) if (!slots.includes(slot)) this.#forget(slot);
    this.#inline.keep(new Set(slots.map((slot) => slot.function)));
    return slots.map((slot) => {
      const { function: fn, device } = slot;
      const { key, line } = this.#keyOf(slot);
      const [channel, number] =
        fn instanceof PlacedFunction
          ? [fn.channel, fn.number]
          : [this.#inline.channel, this.#inline.numberOf(slot)];
      const details = fn.getDetails();
      const id = this.#channels.get(channel) ?? this.#channels.size;
      this.#channels.set(channel, id);
      const pages = slot.direct?.sharedPages ?? [];
      return { key, device, channel: id, memory: channel.buffer, number, details, line, pages };
    });
  }

  #keyOf(slot: Slot): { readonly key: number; readonly line: number } {
    let known = this.#keys.get(slot);
    if (known === undefined) {
      const line =
        slot.function instanceof PlacedFunction ? slot.function.line : this.#forwardLine(slot);
      known = { key: this.#nextKey++, line };
      this.#keys.set(slot, known);
    }
    return known;
  }

  /** Lets the processors hear of the line of a function on this thread. */
  #forwardLine({ line }: Slot): number {
    const number = this.#signals.newLine();
    line.onChange = (asserted) => this.#signals.sendLine(number, asserted);
    if (line.asserted) this.#signals.sendLine(number, true);
    return number;
  }

  #forget(slot: Slot): void {
    this.#keys.delete(slot);
    if (!(slot.function instanceof PlacedFunction)) slot.line.onChange = undefined;
  }
}
