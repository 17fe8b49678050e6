import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** Characters kept of what it says. */
const KEPT = 20_000;

/** A daemon in a process of its own, which waits until it is told to begin. */
export class DaemonProcess {
  readonly pid: number;
  /** What it has said on standard error. */
  said = '';
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #ready: Promise<void>;
  #printed = '';
  #look = (): void => {};

  /** @param program of `BuiltDaemon` */
  constructor(program: string, options: readonly string[]) {
    this.#child = spawn(process.execPath, [program, ...options], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.pid = this.#child.pid!;
    this.#exited = once(this.#child, 'exit').then(() => this.#look());
    this.#child.stdin!.on('error', () => {});
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#printed += text;
      this.#look();
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.said = (this.said + text).slice(-KEPT);
    });
    this.#ready = this.#until('ready\n');
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Resolves when it has loaded what it needs. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /** Tells it to begin, and resolves when it serves clients, or has ended. */
  async begin(): Promise<void> {
    await this.#ready;
    this.#child.stdin!.write('begin\n');
    await this.#until('listening');
  }

  /** Ends it by a signal, and resolves when it has ended. */
  async end(signal: NodeJS.Signals): Promise<void> {
    if (!this.hasExited) this.#child.kill(signal);
    await this.#exited;
  }

  #until(word: string): Promise<void> {
    return new Promise((resolve) => {
      const before = this.#look;
      this.#look = () => {
        before();
        if (this.#printed.includes(word) || this.hasExited) resolve();
      };
      this.#look();
    });
  }
}
