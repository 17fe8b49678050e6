// Longer than most files: one method per command of the agent's protocol.
import { connect, type Socket } from 'node:net';
import { AgentConnection } from './agent-connection.ts';

/** Bytes that an access moves. */
export type AgentWidth = 1 | 2 | 4 | 8;

/** How long something took in the guest, in nanoseconds. */
export interface GuestLatency {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly min: number;
  readonly max: number;
  /** Time for all of them. */
  readonly total: number;
  /** How many took from 2^power ns to twice that, where there are any, in order. */
  readonly octaves: readonly { readonly power: number; readonly count: number }[];
}

/** How a command of the guest ended. */
export interface GuestCommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command is run in the guest. */
export interface GuestCommandOptions {
  /** Receives the output as it comes, instead of the result. */
  readonly output?: ((stream: 'stdout' | 'stderr', chunk: Buffer) => void) | undefined;
  /** Aborting kills the command and rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/** Bytes of memory in one message: the line stays short enough for the agent. */
const CHUNK = 8192;
const SIGKILL = 9;

/**
 * The control agent of a test guest, over the socket of its second serial port: registers, config space, memory that
 * devices reach, interrupts and commands, as a driver in the guest has them. Functions are named by their address,
 * `'0000:01:00.0'`. Every method rejects when the guest ends or restarts.
 */
export class GuestAgent implements AsyncDisposable {
  readonly #connection: AgentConnection;

  private constructor(connection: AgentConnection) {
    this.#connection = connection;
  }

  /**
   * Connects to the socket and resolves when the guest has booted and the agent answers.
   *
   * @throws Error when the machine ends before that, and `signal.reason` when aborted
   */
  static async connect(
    socketPath: string,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<GuestAgent> {
    const socket = await open(socketPath);
    const agent = new GuestAgent(new AgentConnection(socket));
    try {
      await agent.#connection.ready(options.signal);
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return agent;
  }

  /** Resolves the next time that the agent comes up: call it before a reboot is asked for. */
  restarted(signal?: AbortSignal): Promise<void> {
    return this.#connection.restarted(signal);
  }

  /** Resolves when the connection has ended, as it does with the machine. */
  get closed(): Promise<void> {
    return this.#connection.closed;
  }

  /** Addresses of the functions with these ids. */
  async find(vendorId: number, deviceId: number): Promise<string[]> {
    return await this.#connection.request('find', vendorId, deviceId);
  }

  /**
   * Waits for a function that was plugged to appear.
   * @param limit milliseconds
   */
  async waitForFunction(vendorId: number, deviceId: number, limit = 30_000): Promise<string> {
    const deadline = Date.now() + limit;
    for (;;) {
      const [bdf] = await this.find(vendorId, deviceId);
      if (bdf !== undefined) return bdf;
      if (Date.now() > deadline) {
        const ids = [vendorId, deviceId].map((id) => id.toString(16).padStart(4, '0')).join(':');
        throw new Error(`Cannot find a function ${ids} in the guest within ${limit} ms`);
      }
    }
  }

  /** Turns memory decode and bus mastering on, as a driver does. */
  async enable(bdf: string): Promise<void> {
    await this.#connection.request('enable', bdf);
  }

  /** Bytes of a BAR; 0 where there is none. */
  async barSize(bdf: string, bar: number): Promise<number> {
    return await this.#number('bar', bdf, bar);
  }

  async readBar(bdf: string, bar: number, offset: number, width: 1 | 2 | 4): Promise<number> {
    return await this.#number('read', bdf, bar, offset, width);
  }

  async writeBar(
    bdf: string,
    bar: number,
    offset: number,
    width: AgentWidth,
    value: number | bigint,
  ): Promise<void> {
    await this.#connection.request('write', bdf, bar, offset, width, value);
  }

  /** One access of 8 bytes. */
  async readBar64(bdf: string, bar: number, offset: number): Promise<bigint> {
    const [word = '0'] = await this.#connection.request('read', bdf, bar, offset, 8);
    return BigInt(`0x${word}`);
  }

  async readConfig(bdf: string, offset: number, width: 1 | 2 | 4): Promise<number> {
    return await this.#number('config-read', bdf, offset, width);
  }

  async writeConfig(bdf: string, offset: number, width: 1 | 2 | 4, value: number): Promise<void> {
    await this.#connection.request('config-write', bdf, offset, width, value >>> 0);
  }

  /**
   * Memory that stays where it is, contiguous and zeroed, until the guest ends.
   * @returns its guest-physical address, a multiple of 4096
   */
  async allocate(length: number): Promise<number> {
    return await this.#number('allocate', length);
  }

  /** Reads memory that {@link GuestAgent.allocate} gave. */
  async readMemory(gpa: number, length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let at = 0; at < length; at += CHUNK) {
      const count = Math.min(CHUNK, length - at);
      const [hex = ''] = await this.#connection.request('memory-read', gpa + at, count);
      parts.push(Buffer.from(hex, 'hex'));
    }
    return Buffer.concat(parts);
  }

  /** Writes memory that {@link GuestAgent.allocate} gave. */
  async writeMemory(gpa: number, bytes: Uint8Array): Promise<void> {
    const data = Buffer.from(bytes);
    for (let at = 0; at < data.length; at += CHUNK) {
      const hex = data.subarray(at, at + CHUNK).toString('hex');
      await this.#connection.request('memory-write', gpa + at, { text: hex });
    }
  }

  /**
   * Lets interrupts come. Message-signalled ones go to memory of the agent, as a stock kernel gives user space none;
   * of MSI vectors that come together the last is seen. INTx goes through uio_pci_generic.
   *
   * @param count vectors that are wanted; MSI has a power of two
   * @returns the number of vectors that can come
   */
  async enableInterrupts(
    bdf: string,
    kind: 'msix' | 'msi' | 'intx',
    count = 2048,
  ): Promise<number> {
    return await this.#number('irq-enable', bdf, kind, count);
  }

  async disableInterrupts(bdf: string): Promise<void> {
    await this.#connection.request('irq-disable', bdf);
  }

  /** Vectors that came since the last call, each once, in ascending order. */
  async takeInterrupts(bdf: string): Promise<number[]> {
    return (await this.#connection.request('irq-take', bdf)).map(parseHex);
  }

  /**
   * Waits for an interrupt.
   * @param limit milliseconds
   * @returns the vectors that came, none when the time was over
   */
  async waitInterrupt(bdf: string, limit = 5_000): Promise<number[]> {
    return (await this.#connection.request('irq-wait', bdf, limit)).map(parseHex);
  }

  /** Times reads of a register, one after the other, on the guest's processor. */
  async measureReads(
    bdf: string,
    bar: number,
    offset: number,
    width: AgentWidth,
    count: number,
  ): Promise<GuestLatency> {
    const words = await this.#connection.request('measure', bdf, bar, offset, width, count);
    return latency(count, words);
  }

  /** Times from a write to a register until the message of a vector is in memory. */
  async measureDoorbell(
    bdf: string,
    bar: number,
    offset: number,
    width: AgentWidth,
    value: number,
    vector: number,
    count: number,
  ): Promise<GuestLatency> {
    const access = [bdf, bar, offset, width, value] as const;
    return latency(count, await this.#connection.request('doorbell', ...access, vector, count));
  }

  /** Runs a command by the guest's /bin/sh, without input. A code other than 0 is a result, not an error. */
  async run(command: string, options: GuestCommandOptions = {}): Promise<GuestCommandResult> {
    const collected = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    const { output, signal } = options;
    const request = this.#connection.start('run', [{ text: oneLine(command) }], (stream, chunk) => {
      if (output === undefined) collected[stream].push(chunk);
      else output(stream, chunk);
    });
    const abort = (): void => {
      this.#connection.request('signal', { text: request.id }, SIGKILL).catch(() => undefined);
    };
    signal?.throwIfAborted();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const [code = '0'] = await request.reply;
      signal?.throwIfAborted();
      return {
        exitCode: parseHex(code),
        stdout: Buffer.concat(collected.stdout).toString('utf8'),
        stderr: Buffer.concat(collected.stderr).toString('utf8'),
      };
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Tells a terminal of the guest how large the user's is. */
  async setTerminalSize(rows: number, columns: number, terminal = '/dev/ttyS0'): Promise<void> {
    await this.#connection.request('size', rows, columns, terminal);
  }

  /** Ends the connection, not the guest. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.close();
  }

  async #number(...request: Parameters<AgentConnection['request']>): Promise<number> {
    const [word = '0'] = await this.#connection.request(...request);
    return parseHex(word);
  }
}

/** A request is one line; a script of several goes as base64, which the guest's shell makes a script again. */
function oneLine(command: string): string {
  if (!command.includes('\n')) return command;
  const encoded = Buffer.from(command).toString('base64');
  return `eval "$(echo ${encoded} | base64 -d)"`;
}

function parseHex(word: string): number {
  return Number.parseInt(word, 16);
}

function latency(count: number, words: readonly string[]): GuestLatency {
  const [p50 = 0, p99 = 0, p999 = 0, min = 0, max = 0, total = 0] = words.map(parseHex);
  const octaves = words.slice(6).map((word) => {
    const [power = 0, times = 0] = word.split(':').map(parseHex);
    return { power, count: times };
  });
  return { count, p50, p99, p999, min, max, total, octaves };
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}
