import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { findQemu } from '../../src/provision/find-qemu.ts';

/** Formats of QEMU's that a disk image may have. */
export type ImageFormat = 'vhdx' | 'vpc' | 'qcow2';

const FORCE_SIZE = { 'force-size': true };

interface Message {
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly event?: string;
  readonly data?: { readonly id?: string; readonly status?: string };
}

/** A QEMU without a machine, which makes disk images. */
export class ImageMaker {
  readonly #qemu: ChildProcess;
  readonly #messages: AsyncIterator<string>;
  #next = 0;

  private constructor(qemu: ChildProcess) {
    this.#qemu = qemu;
    this.#messages = createInterface({ input: qemu.stdout! })[Symbol.asyncIterator]();
  }

  static async start(): Promise<ImageMaker> {
    const { command, args } = await findQemu();
    const qemu = spawn(
      command,
      [...args, '-machine', 'none', '-nodefaults', '-display', 'none', '-qmp', 'stdio'],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const maker = new ImageMaker(qemu);
    await maker.#receive(); // The greeting.
    await maker.#execute('qmp_capabilities');
    return maker;
  }

  /**
   * Makes an image whose first 512 bytes are `byte`.
   * @param below for qcow2: name of the qcow2 image in the same folder whose bytes it has instead
   */
  async create(
    path: string,
    format: ImageFormat,
    size: number,
    byte: string,
    below?: string,
  ): Promise<void> {
    writeFileSync(path, '');
    await this.#execute('blockdev-add', { driver: 'file', filename: path, 'node-name': 'file' });
    const id = `job${this.#next}`;
    await this.#execute('blockdev-create', {
      'job-id': id,
      // Any size, not only those that cylinders, heads and sectors can say.
      options: {
        ...{ driver: format, file: 'file', size },
        ...(format === 'vpc' ? FORCE_SIZE : {}),
        ...(below === undefined ? {} : { 'backing-file': below, 'backing-fmt': 'qcow2' }),
      },
    });
    for (;;) {
      const { event, data } = await this.#receive();
      if (event !== 'JOB_STATUS_CHANGE' || data?.id !== id || data.status !== 'concluded') continue;
      break;
    }
    const jobs = (await this.#execute('query-jobs')) as readonly { readonly error?: string }[];
    const problem = jobs.find(({ error }) => error !== undefined)?.error;
    if (problem !== undefined) throw new Error(`Cannot make ${path}: ${problem}`);
    await this.#execute('job-dismiss', { id });
    if (below === undefined) {
      await this.#execute('blockdev-add', { driver: format, file: 'file', 'node-name': 'image' });
      await this.#execute('human-monitor-command', {
        'command-line': `qemu-io image "write -P ${byte.charCodeAt(0)} 0 512"`,
      });
      await this.#execute('blockdev-del', { 'node-name': 'image' });
    }
    await this.#execute('blockdev-del', { 'node-name': 'file' });
  }

  /** Ends QEMU. */
  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#qemu.once('exit', resolve));
    this.#qemu.stdin!.end(`${JSON.stringify({ execute: 'quit' })}\n`);
    await gone;
  }

  async #receive(): Promise<Message> {
    for (;;) {
      const { value, done } = await this.#messages.next();
      if (done === true) throw new Error('QEMU has ended');
      // What was written is told between the messages.
      if (value.startsWith('{')) return JSON.parse(value) as Message;
    }
  }

  async #execute(execute: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const id = ++this.#next;
    this.#qemu.stdin!.write(`${JSON.stringify({ execute, arguments: args, id })}\n`);
    for (;;) {
      const message = await this.#receive();
      if (message.id !== id) continue;
      if (message.error !== undefined) throw new Error(`Cannot ${execute}: ${message.error.desc}`);
      return message.return;
    }
  }
}
