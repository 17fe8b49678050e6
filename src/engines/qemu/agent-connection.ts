import type { Socket } from 'node:net';

/** A word of a request: a number goes as hexadecimal digits, a string as it is. */
export type AgentWord = number | bigint | string | { readonly text: string };

type Output = (stream: 'stdout' | 'stderr', chunk: Buffer) => void;

interface Pending {
  readonly command: string;
  readonly resolve: (words: string[]) => void;
  readonly reject: (error: Error) => void;
  readonly output: Output | undefined;
}

const GREETING = '* hdvkit-agent 1';
const NEWLINE = 10;

/** Requests to the guest's agent and their replies, by line; the protocol stands at the head of agent.c. */
export class AgentConnection {
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #pending = new Map<string, Pending>();
  readonly #greeted = new Set<() => void>();
  #next = 0;
  #received: Buffer = Buffer.alloc(0);
  /** Bytes of output still to come, and for whom. */
  #chunk: { length: number; readonly stream: 'stdout' | 'stderr'; readonly id: string } | undefined;
  #isClosed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data: Buffer) => this.#receive(data));
    socket.on('error', () => undefined); // 'close' follows.
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isClosed = true;
        this.#rejectAll('the machine has ended');
        resolve();
      });
    });
  }

  /** Resolves when the agent answers: it may be up already, or still to come. */
  async ready(signal?: AbortSignal): Promise<void> {
    const greeted = this.restarted(signal);
    // What a guest that is still booting receives is lost, and its greeting comes later.
    const answered = this.request('hello').then(
      () => undefined,
      () => greeted,
    );
    await Promise.race([greeted, answered]);
    // Ends the line that a half-lost request may have left behind.
    this.#socket.write('\n');
  }

  /** Resolves the next time that the agent comes up. */
  restarted(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const abort = (): void => done(() => reject(signal?.reason));
      const greet = (): void => done(resolve);
      const done = (then: () => void): void => {
        this.#greeted.delete(greet);
        signal?.removeEventListener('abort', abort);
        then();
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#greeted.add(greet);
      void this.closed.then(() =>
        done(() => reject(new Error('Cannot wait for the guest: the machine has ended'))),
      );
    });
  }

  /** Sends a request. @returns the words of the reply; rejects with the agent's reason */
  request(command: string, ...words: readonly AgentWord[]): Promise<string[]> {
    return this.start(command, words).reply;
  }

  /** {@link AgentConnection.request} for a command that has output and can be signalled. */
  start(
    command: string,
    words: readonly AgentWord[],
    output?: Output,
  ): { readonly id: string; readonly reply: Promise<string[]> } {
    const id = String(++this.#next);
    const reply = new Promise<string[]>((resolve, reject) => {
      if (this.#isClosed) throw new Error(`Cannot ${command} in the guest: the machine has ended`);
      this.#pending.set(id, { command, resolve, reject, output });
      this.#socket.write(`${[id, command, ...words.map(spell)].join(' ')}\n`);
    });
    return { id, reply };
  }

  async close(): Promise<void> {
    this.#socket.destroy();
    await this.closed;
  }

  #receive(data: Buffer): void {
    let rest = this.#received.length === 0 ? data : Buffer.concat([this.#received, data]);
    while (rest.length > 0) {
      if (this.#chunk !== undefined) {
        const bytes = rest.subarray(0, this.#chunk.length);
        this.#pending.get(this.#chunk.id)?.output?.(this.#chunk.stream, Buffer.from(bytes));
        this.#chunk.length -= bytes.length;
        if (this.#chunk.length === 0) this.#chunk = undefined;
        rest = rest.subarray(bytes.length);
        continue;
      }
      const end = rest.indexOf(NEWLINE);
      if (end < 0) break;
      this.#dispatch(rest.subarray(0, end).toString('utf8').trim());
      rest = rest.subarray(end + 1);
    }
    this.#received = rest;
  }

  #dispatch(line: string): void {
    if (line === GREETING) {
      this.#rejectAll('it restarted');
      for (const greet of [...this.#greeted]) greet();
      return;
    }
    const [, id = '', kind = '', rest = ''] = /^(\d+) ([=!+])\s*(.*)$/.exec(line) ?? [];
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    if (kind === '+') {
      const [stream, length = '0'] = rest.split(' ');
      this.#chunk = {
        id,
        stream: stream === '2' ? 'stderr' : 'stdout',
        length: Number.parseInt(length, 16),
      };
      return;
    }
    this.#pending.delete(id);
    if (kind === '=') pending.resolve(rest === '' ? [] : rest.split(' '));
    else pending.reject(new Error(`Cannot ${pending.command} in the guest: ${rest}`));
  }

  #rejectAll(reason: string): void {
    const all = [...this.#pending.values()];
    this.#pending.clear();
    this.#chunk = undefined;
    for (const { command, reject } of all) {
      reject(new Error(`Cannot ${command} in the guest: ${reason}`));
    }
  }
}

function spell(word: AgentWord): string {
  if (typeof word === 'object') return word.text;
  return typeof word === 'string' ? word : word.toString(16);
}
