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

/** How often a console that is not there yet is looked for. */
const RETRY_MS = 100;

/** The guest's serial console on this terminal. What is said beside it keeps to whole lines. */
export class GuestConsole {
  readonly #path: string;
  #socket: Socket | undefined;
  #isRaw = false;

  /** @param path socket of the guest's first serial port */
  constructor(path: string) {
    this.#path = path;
  }

  /** Connects, so that nothing of the boot is lost; what comes before {@link interact} is dropped. */
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

  /**
   * Connects the console to standard input and output until the user leaves or the machine ends.
   * @param guest a guest with the agent, which is told how large the terminal is
   */
  async interact(
    exited: Promise<unknown>,
    guest: LinuxGuest | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const socket = this.#socket;
    // The machine ended, or the user left, before there was a console.
    if (socket === undefined) return;
    const { stdin, stdout } = process;
    socket.on('data', (chunk: Buffer) => stdout.write(chunk));
    // What a script sends before the guest's shell reads would be lost.
    if (guest && !stdin.isTTY) await Promise.race([this.#prompt(), exited]);
    const left = new Promise<void>((resolve) => {
      stdin.on('data', (chunk: Buffer) => {
        const at = stdin.isTTY ? chunk.indexOf(LEAVE) : -1;
        socket.write(at < 0 ? chunk : chunk.subarray(0, at));
        if (at >= 0) resolve();
      });
      stdin.on('end', () => socket.write(guest ? LEAVE_SHELL : END_OF_INPUT));
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    if (stdin.isTTY) {
      stdin.setRawMode(true);
      this.#isRaw = true;
      if (guest) void followSize(guest, signal).catch(() => undefined);
    }
    stdin.resume();
    await Promise.race([left, exited]);
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
    if (this.#isRaw) {
      process.stdin.setRawMode(false);
      process.stdout.write('\r\n');
    }
    this.#isRaw = false;
    process.stdin.removeAllListeners('data').pause();
    process.stdin.unref?.();
  }
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
