import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { LinuxGuest } from '../engines/qemu/linux-guest.ts';

/** Ctrl-], as telnet and virsh have it. */
const LEAVE = 0x1d;

/** Ctrl-D: what a terminal sends for the end of input. */
const END_OF_INPUT = '\u0004';

/** The same for our guest's shell. It edits lines: a Ctrl-D that comes while it runs a command does not reach it. */
const LEAVE_SHELL = '\nexit\n';

/** What the prompt of our guest's shell begins with. */
const PROMPT = 'guest:';

/** What the guest says while nobody looks is kept up to so many bytes, the latest. */
const HELD_BYTES = 256 * 1024;

/** How long the end of a machine's console is waited for when the machine has ended. */
const LAST_WORDS_MS = 1000;

/** How often a console that is not there yet is looked for. */
const RETRY_MS = 100;

/** Where a {@link GuestConsole} is shown. */
export interface GuestConsoleOptions {
  /** Receives what the guest says; default: standard output. */
  readonly output?: (chunk: Buffer) => unknown;
  /** Is standard input a terminal, from which Ctrl-] leaves? By default as it is. */
  readonly terminal?: boolean;
  /** Whether the end of standard input is typed, as Ctrl-D; true. Where not, it ends what is typed and nothing else. */
  readonly typesEnd?: boolean;
}

/** The guest's serial console on this terminal. What is said beside it keeps to whole lines. */
export class GuestConsole {
  readonly #path: string;
  readonly #output: (chunk: Buffer) => unknown;
  readonly #terminal: boolean;
  readonly #typesEnd: boolean;
  #socket: Socket | undefined;
  #isRaw = false;
  #isHolding = false;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #droppedBytes = 0;

  /** @param path socket of the guest's first serial port */
  constructor(
    path: string,
    {
      output = (chunk) => process.stdout.write(chunk),
      terminal = Boolean(process.stdin.isTTY),
      typesEnd = true,
    }: GuestConsoleOptions = {},
  ) {
    this.#path = path;
    this.#output = output;
    this.#terminal = terminal;
    this.#typesEnd = typesEnd;
  }

  /** Resolves when the connection to the console has ended; never while there is none. */
  async closed(): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined) return await new Promise(() => {});
    if (!socket.destroyed) await once(socket, 'close');
  }

  /** Connects, so that nothing of the boot is lost; what comes before {@link interact} is dropped, or see {@link hold}. */
  async connect(): Promise<void> {
    const socket = connect(this.#path);
    await once(socket, 'connect');
    socket.on('error', () => undefined); // 'close' follows.
    socket.resume();
    this.#socket = socket;
  }

  /** The same, for a console that comes some time after its machine has started. */
  async connectWhenThere(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.connect();
        return;
      } catch {
        await delay(RETRY_MS, undefined, { signal, ref: true }).catch(() => undefined);
      }
    }
  }

  /** Writes a line to standard error, also while the terminal is raw. */
  remark(line: string): void {
    const text = this.#isRaw ? line.replaceAll('\n', '\r\n') : line;
    process.stderr.write(`${text}${this.#isRaw ? '\r\n' : '\n'}`);
  }

  /** From now on, what the guest says is kept, within limits, for the next {@link interact}. */
  hold(): void {
    if (this.#isHolding) return;
    this.#isHolding = true;
    this.#socket?.on('data', this.#keep);
  }

  /**
   * Connects the console to standard input and output until the user leaves or the machine ends. May be called again.
   * @param guest a guest with the agent, which is told how large the terminal is
   */
  async interact(
    exited: Promise<unknown>,
    guest: LinuxGuest | undefined,
    signal: AbortSignal,
  ): Promise<'left' | 'ended'> {
    const socket = this.#socket;
    // The machine ended, or the user left, before there was a console.
    if (socket === undefined) return 'ended';
    const { stdin } = process;
    const output = (chunk: Buffer): unknown => this.#output(chunk);
    this.#release();
    socket.on('data', output);
    // What a script sends before the guest's shell reads would be lost.
    if (guest && !this.#terminal) await Promise.race([this.#prompt(), exited]);
    let isUsed = false;
    let leave: (how: 'left') => void = () => undefined;
    const input = (chunk: Buffer): void => {
      isUsed = true;
      const at = this.#terminal ? chunk.indexOf(LEAVE) : -1;
      socket.write(at < 0 ? chunk : chunk.subarray(0, at));
      if (at >= 0) leave('left');
    };
    // Where nothing was said, nothing ends: a guest that asks for a login does not do so for us.
    const end = (): void => {
      if (guest) socket.write(LEAVE_SHELL);
      else if (isUsed && this.#typesEnd) socket.write(END_OF_INPUT);
    };
    const abort = (): void => leave('left');
    const left = new Promise<'left'>((resolve) => {
      leave = resolve;
      stdin.on('data', input);
      stdin.on('end', end);
      signal.addEventListener('abort', abort, { once: true });
    });
    if (this.#terminal) {
      stdin.setRawMode(true);
      this.#isRaw = true;
      if (guest) void followSize(guest, signal).catch(() => undefined);
    }
    stdin.resume();
    try {
      const how = await Promise.race([left, exited.then(() => 'ended' as const)]);
      if (how === 'ended') await lastWords(socket);
      return how;
    } finally {
      stdin.off('data', input).off('end', end).pause();
      signal.removeEventListener('abort', abort);
      socket.off('data', output);
      this.hold();
      this.#leaveRaw();
    }
  }

  readonly #keep = (chunk: Buffer): void => {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    while (this.#heldBytes > HELD_BYTES) {
      const length = this.#held.shift()?.length ?? 0;
      this.#heldBytes -= length;
      this.#droppedBytes += length;
    }
  };

  /** Shows what was kept, and keeps no more. */
  #release(): void {
    this.#socket?.off('data', this.#keep);
    if (this.#droppedBytes > 0) this.remark(`(${this.#droppedBytes} bytes of the console dropped)`);
    for (const chunk of this.#held) this.#output(chunk);
    this.#held = [];
    this.#isHolding = false;
    this.#heldBytes = 0;
    this.#droppedBytes = 0;
  }

  #leaveRaw(): void {
    if (!this.#isRaw) return;
    process.stdin.setRawMode(false);
    process.stdout.write('\r\n');
    this.#isRaw = false;
  }

  /** Resolves when the guest's shell has shown its prompt. */
  #prompt(): Promise<void> {
    const socket = this.#socket as Socket;
    return new Promise((resolve) => {
      let said = '';
      const listen = (chunk: Buffer): void => {
        said = (said + chunk.toString('latin1')).slice(-4096);
        if (!said.includes(PROMPT)) return;
        socket.off('data', listen);
        resolve();
      };
      socket.on('data', listen);
    });
  }

  /** Gives the terminal back. Safe to call twice. */
  close(): void {
    this.#socket?.destroy();
    this.#leaveRaw();
    process.stdin.removeAllListeners('data').pause();
    process.stdin.unref?.();
  }
}

/** Waits for what the guest said before its machine ended. */
async function lastWords(socket: Socket): Promise<void> {
  if (socket.destroyed) return;
  await once(socket, 'close', { signal: AbortSignal.timeout(LAST_WORDS_MS) }).catch(
    () => undefined,
  );
}

/** Tells the guest how large the terminal is, at first and after each change. */
async function followSize(guest: LinuxGuest, signal: AbortSignal): Promise<void> {
  const agent = await guest.connectAgent(signal);
  const tell = (): void => {
    const { rows = 24, columns = 80 } = process.stdout;
    agent.setTerminalSize(rows, columns).catch(() => undefined);
  };
  tell();
  process.stdout.on('resize', tell);
  await agent.closed;
  process.stdout.off('resize', tell);
}
