import type { DeviceEndpoint } from '../../compute/device-directory.ts';
import type { FunctionConnection } from '../../engines/simulated/function-connection.ts';
import { InterruptLine } from '../../engines/simulated/interrupts.ts';
import type { SimulatedMachine } from '../../engines/simulated/machine.ts';
import type { RestartRequest, RestartResult } from '../../hdv/device-placement.ts';
import { ALL_ONES } from '../../pci/bar-router.ts';
import type { FunctionShape, MappedShape } from '../../pci/device-callbacks.ts';
import { DirectTable, type SharedPages } from '../../pci/direct-table.ts';
import type { DeviceModule, DeviceThread, ThreadDevice } from './device-thread.ts';
import type { PowerOnCommand, RestoreCommand } from './device-worker.ts';
import { PlacedFunction } from './remote-function.ts';

type Width = 1 | 2 | 4;
type ResetKind = Parameters<PlacedFunction['reset']>[0];

const ONES = 0xffff_ffff;

/** Where a device is. */
export interface Residence {
  readonly thread: DeviceThread;
  readonly resident: ThreadDevice;
}

/** What a {@link WorkerDevice} needs. */
export interface WorkerDeviceOptions {
  /** Loads the device on a thread. */
  readonly load: () => Promise<Residence>;
  /** What it loads, and whether that may be beside others. */
  readonly module: DeviceModule;
  readonly isShared: boolean;
  /** The machine of its system, until that has ended. */
  readonly machine: () => SimulatedMachine | undefined;
}

/** The function of a device on a worker. */
export class WorkerFunction extends PlacedFunction {
  readonly thread: DeviceThread;

  constructor({ thread, resident }: Residence, line: number) {
    const { details, shape } = resident.device;
    const { channel, requester } = thread;
    const place = { channel, requester, number: resident.number, line };
    super(place, details, shape.mapped.length === 0);
    this.thread = thread;
  }

  // While another device takes the place of this one, processors wait for it. This thread, which sees to that, reads
  // ones instead.

  override readConfigSpace(offset: number): number {
    return this.thread.isHeld ? ONES : super.readConfigSpace(offset);
  }

  override writeConfigSpace(offset: number, value: number): void {
    if (!this.thread.isHeld) super.writeConfigSpace(offset, value);
  }

  override peekConfigSpace(offset: number): number {
    return this.thread.isHeld ? ONES : super.peekConfigSpace(offset);
  }

  override readInterceptedMemory(bar: number, offset: number, width: Width): number {
    if (this.thread.isHeld) return ALL_ONES[width]!;
    return super.readInterceptedMemory(bar, offset, width);
  }

  override writeInterceptedMemory(bar: number, offset: number, width: Width, value: number): void {
    if (!this.thread.isHeld) super.writeInterceptedMemory(bar, offset, width, value);
  }

  override reset(kind: ResetKind): void {
    if (!this.thread.isHeld) super.reset(kind);
  }
}

/** A device on a worker, seen from the thread of its machine. */
export class WorkerDevice implements DeviceEndpoint {
  readonly #options: WorkerDeviceOptions;
  #residence: Residence;
  #leaveMachine: (() => void) | undefined;
  #pages: readonly SharedPages[] = [];
  /** How it was powered on. */
  #command: PowerOnCommand | undefined;
  #started = false;
  #isClosed = false;

  private constructor(options: WorkerDeviceOptions, residence: Residence) {
    this.#options = options;
    this.#residence = residence;
  }

  static async load(options: WorkerDeviceOptions): Promise<WorkerDevice> {
    return new WorkerDevice(options, await options.load());
  }

  /** Class name of the device. */
  get name(): string {
    return this.#residence.resident.device.name;
  }

  get shape(): FunctionShape {
    return this.#residence.resident.device.shape;
  }

  /** Loads the module afresh. In a machine, the fresh device takes the place of this one. */
  async restart({ keepState = false }: RestartRequest = {}): Promise<RestartResult> {
    const powerOn = this.#command;
    if (powerOn === undefined) {
      await this.#reload();
      return { kept: false };
    }
    const { module, isShared, machine } = this.#options;
    const { thread, resident } = this.#residence;
    const started = this.#started;
    const request = { module, isShared, keepState, powerOn, started };
    const { device, result } = await thread.replace(resident.number, request);
    this.#residence = { thread, resident: { ...resident, device } };
    // The machine may have ended meanwhile: it told the old device.
    if (this.#command !== powerOn) await this.#turnOff();
    // Root complexes may have found nobody there meanwhile.
    machine()?.bus.refresh();
    return result;
  }

  async #reload(): Promise<void> {
    const fresh = await this.#options.load();
    await this.#unload();
    this.#residence = fresh;
    if (!this.#isClosed) return;
    await this.#unload();
    throw new Error(`Cannot restart ${this.name}: it was detached`);
  }

  async powerOn(configuration: readonly string[]): Promise<FunctionConnection> {
    if (this.#leaveMachine !== undefined) {
      throw new Error('Cannot power a device on twice: it is in a machine already');
    }
    const machine = this.#options.machine();
    if (machine === undefined) throw new Error('Cannot power a device on: its machine has ended');
    if (this.#residence.thread.over) await this.#reload();
    const shared = machine.share();
    const line = new InterruptLine();
    const lineNumber = machine.addLine(line);
    const { thread, resident } = this.#residence;
    const { number } = resident;
    const { bars, mapped } = resident.device.shape;
    const pages = mapped.map(sharedPages);
    const direct = new DirectTable(bars);
    direct.mirror(pages);
    this.#pages = pages;
    const command: PowerOnCommand = {
      number,
      machine: shared,
      line: lineNumber,
      configuration,
      pages,
    };
    this.#leaveMachine = () => machine.removeLine(lineNumber);
    try {
      await thread.call('powerOn', command);
    } catch (error) {
      this.#leave();
      throw error;
    }
    this.#command = command;
    return {
      kind: 'function',
      function: new WorkerFunction(this.#residence, lineNumber),
      line,
      direct,
      start: async () => {
        this.#started = true;
        await thread.call('start', number);
      },
      stop: async () => {
        this.#started = false;
        // One that fails or hangs here was reported as such.
        if (!thread.over) await thread.call('stop', number).catch(() => undefined);
      },
      save: () => thread.call('save', number),
      restore: (state) => thread.call('restore', { number, state } satisfies RestoreCommand),
      onDisconnect: undefined,
    };
  }

  /** The device has failed, or its thread has: what is mapped answers as the rest of it does. */
  hidePages(): void {
    for (const { shown } of this.#pages) Atomics.store(new Int32Array(shown), 0, 0);
  }

  async powerOff(): Promise<void> {
    this.#leave();
    await this.#turnOff();
  }

  /** One that fails or hangs here was reported as such. */
  async #turnOff(): Promise<void> {
    const { thread, resident } = this.#residence;
    if (!thread.over) await thread.call('powerOff', resident.number).catch(() => undefined);
  }

  #leave(): void {
    this.#leaveMachine?.();
    this.#leaveMachine = undefined;
    this.#command = undefined;
    this.#started = false;
  }

  /** Takes the device off its thread. Safe to call twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#unload();
  }

  async #unload(): Promise<void> {
    const { thread, resident } = this.#residence;
    await thread.unload(resident.number);
  }
}

/** Memory for pages of a BAR, which the device's thread shows when the guest may reach it. */
function sharedPages({ bar, offset, size }: MappedShape): SharedPages {
  const memory = new SharedArrayBuffer(size);
  return { bar, offset, size, writable: true, memory, start: 0, shown: new SharedArrayBuffer(4) };
}
