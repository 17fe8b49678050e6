import type { GuestRam } from '../../engines/simulated/guest-ram.ts';
import { InterruptQueue } from '../../engines/simulated/interrupts.ts';
import type { MachineSignals } from '../../engines/simulated/machine-signals.ts';
import { PollEvent, PollSet } from '../../ffi/poll-set.ts';
import { Operation, type OperationCode } from '../../transport/slot/slot-layout.ts';
import type { SlotTarget } from '../../transport/slot/slot-responder.ts';
import { VfioUserClient } from '../../vfio-user/client.ts';
import { Region } from '../../vfio-user/device.ts';
import { VfioUserError } from '../../vfio-user/vfio-user-error.ts';
import { Errno } from '../../vfio-user/wire.ts';
import type { EventInterrupts } from './event-interrupts.ts';
import { type ProcessShape, readShape } from './process-shape.ts';
import { ProcessVectors } from './process-vectors.ts';

const ONES = 0xffff_ffff;

/** Of the limit for one answer, what all questions of a connection may take together. */
const CONNECTING = 4;

/** Function-level reset: in PCI Express (PCIe 6.0, 7.5.3.4) and in Advanced Features (PCI ECN, 2006). */
const EXPRESS_CONTROL = 0x08;
const EXPRESS_RESET = 0x8000;
const ADVANCED_CONTROL = 0x04;
const ADVANCED_RESET = 0x1;

/** Power management control (PCIe 6.0, 7.5.2.2): a function may be reset on its way from D3hot to D0. */
const POWER_CONTROL = 0x04;
const POWER_STATE = 0x3;
const NO_SOFT_RESET = 0x8;

/** What a {@link ProcessFunction} stands between. */
export interface ProcessFunctionOptions {
  /** Where the device's process listens. */
  readonly socketPath: string;
  /** Milliseconds that it may take for anything. */
  readonly limitMs: number;
  readonly ram: GuestRam;
  readonly signals: MachineSignals;
  /** Number of the interrupt line in the machine. */
  readonly line: number;
  readonly events: EventInterrupts;
  /** Wait group for the eventfds; main's. */
  readonly group: number;
}

/** A function of another process, which is asked over vfio-user for each access and may take its time. */
export class ProcessFunction implements SlotTarget {
  readonly shape: ProcessShape;
  readonly fd: number;
  /** Why the device is not there any more; it then answers as if unplugged. */
  gone: string | undefined;
  readonly #options: ProcessFunctionOptions;
  readonly #client: VfioUserClient;
  readonly #vectors: ProcessVectors;
  readonly #signalled = new PollSet(1);
  #powerState = 0;

  private constructor(client: VfioUserClient, options: ProcessFunctionOptions) {
    const { ram, events, group } = options;
    this.#options = options;
    this.#client = client;
    this.fd = client.fd;
    client.agree();
    for (const { gpa, buffer, fd } of ram.parts) {
      client.mapMemory(gpa, buffer.byteLength, fd ?? -1);
    }
    this.shape = readShape(client);
    this.#vectors = new ProcessVectors(client, this.shape.interrupts, events, group);
    this.#signalled.watch(0, group, PollEvent.IN);
  }

  /**
   * Connects, shows the device its machine's memory, and asks it what it is.
   * @throws VfioUserError when nobody listens, or what listens is no PCI device or does not answer in time
   */
  static connect(options: ProcessFunctionOptions): ProcessFunction {
    const { socketPath, limitMs, ram } = options;
    const client = VfioUserClient.connect(socketPath, {
      timeoutMs: limitMs,
      memory: {
        read: (gpa, into) => (ram.read(gpa, into) ? 0 : Errno.ENODEV),
        write: (gpa, from) => (ram.write(gpa, from) ? 0 : Errno.ENODEV),
      },
    });
    // Main's from now on, also when this thread is ended here.
    options.events.setConnection(client.fd);
    client.limit(CONNECTING * limitMs);
    try {
      return new ProcessFunction(client, options);
    } catch (error) {
      client.leave();
      throw error;
    } finally {
      client.unlimit();
    }
  }

  /** The connection and the eventfds are somebody else's from now on. */
  leave(): void {
    this.#client.leave();
  }

  access(
    operation: OperationCode,
    _number: number,
    bar: number,
    offset: number,
    width: number,
    value: number,
  ): number {
    if (this.gone !== undefined) return ONES;
    try {
      const answer = this.#access(operation, bar, offset, width as 1 | 2 | 4, value);
      this.#takeInterrupts();
      return answer;
    } catch (error) {
      // What a device refuses is an access that nobody answers; anything else ends the connection.
      if (isLost(error)) this.gone = reasonOf(error);
      return ONES;
    } finally {
      this.#client.unlimit();
    }
  }

  #access(
    operation: OperationCode,
    bar: number,
    offset: number,
    width: 1 | 2 | 4,
    value: number,
  ): number {
    const client = this.#client;
    const vectors = this.#vectors;
    switch (operation) {
      case Operation.READ: {
        const at = vectors.tableOffset(bar, offset, width);
        return at >= 0 ? vectors.readTable(at, width) : client.read(bar, offset, width);
      }
      case Operation.WRITE: {
        const at = vectors.tableOffset(bar, offset, width);
        if (at >= 0) vectors.writeTable(at, width, value);
        else client.write(bar, offset, width, value);
        return 0;
      }
      case Operation.READ_CONFIG:
      case Operation.PEEK_CONFIG:
        return client.read(Region.CONFIG, offset, 4);
      case Operation.WRITE_CONFIG:
        // It may enable 2048 vectors, for each of which the device is asked.
        client.limit(this.#options.limitMs);
        client.write(Region.CONFIG, offset, 4, value);
        if (this.#resets(offset, value)) vectors.reset();
        else vectors.configWritten(offset);
        return 0;
      case Operation.RESET:
        client.limit(this.#options.limitMs);
        client.reset();
        vectors.reset();
        return 0;
      default:
        return 0;
    }
  }

  /** Does a write of configuration space reset the function, and with it what is kept of it here? */
  #resets(offset: number, value: number): boolean {
    const { express, advanced, power } = this.shape;
    if (express > 0 && offset === express + EXPRESS_CONTROL) return (value & EXPRESS_RESET) !== 0;
    if (advanced > 0 && offset === advanced + ADVANCED_CONTROL) {
      return (value & ADVANCED_RESET) !== 0;
    }
    if (power === 0 || offset !== power + POWER_CONTROL) return false;
    const before = this.#powerState;
    const now = this.#client.read(Region.CONFIG, offset, 4);
    this.#powerState = now & POWER_STATE;
    return before === 3 && this.#powerState === 0 && (now & NO_SOFT_RESET) === 0;
  }

  /** What the device has signalled up to the answer is with the processors before the answer is. */
  #takeInterrupts(): void {
    const { events, signals, line } = this.#options;
    if (this.shape.interrupts.kind !== 'intx') {
      if (this.#signalled.wait(0) === 0) return;
      events.takeMessages((address, data) => deliver(this.#options, address, data));
      return;
    }
    if (!events.isLineSignalled) {
      if (events.takeLine()) signals.sendLine(line, true);
      return;
    }
    // The access may have been what ends the interrupt: the device signals again if it was not.
    this.#client.unmaskLine();
    if (events.takeLineAgain()) return;
    signals.sendLine(line, false);
    events.forgetLine();
  }
}

/** A message is an interrupt at the addresses that mean one, and elsewhere what any write is (PCIe 6.0, 6.1.4). */
function deliver(
  { signals, ram }: Pick<ProcessFunctionOptions, 'signals' | 'ram'>,
  address: number,
  data: number,
): void {
  if (InterruptQueue.decodes(address)) {
    signals.sendMessage(address, data);
    return;
  }
  const word = Buffer.alloc(4);
  word.writeUInt32LE(data);
  ram.write(address, word);
}

/** Codes of errors after which the stream is of no use; any other is the device's own answer. */
const LOST: ReadonlySet<string> = new Set(['EPIPE', 'ECONNRESET', 'ETIMEDOUT', 'EPROTO']);

function isLost(error: unknown): boolean {
  return !(error instanceof VfioUserError) || LOST.has(error.code);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
