import type { Socket } from 'node:net';
import type { InProcessDaemon } from './in-process.ts';

/** A client that says what a test wants said, byte for byte. */
export class RawClient {
  readonly socket: Socket;
  /** Messages that came, in order. */
  readonly messages: Record<string, unknown>[] = [];
  #text = '';
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data) => {
      this.#text += data.toString('utf8');
      this.#parse();
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  static async connect(under: InProcessDaemon): Promise<RawClient> {
    return new RawClient(await under.connect());
  }

  send(message: object): void {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    this.socket.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  /** Makes a request and waits for its answer, or for the end of the connection. */
  async ask(id: number, method: string, params: object): Promise<Record<string, unknown>> {
    this.send({ id, method, params });
    return await this.wait((message) => message.id === id && !('method' in message));
  }

  hello(newest = 1, oldest = 1): Promise<Record<string, unknown>> {
    return this.ask(1, 'hello', { oldest, newest, version: 'test' });
  }

  /** The first message that is meant. */
  async wait(
    isMeant: (message: Record<string, unknown>) => boolean,
  ): Promise<Record<string, unknown>> {
    while (true) {
      const found = this.messages.find(isMeant);
      if (found !== undefined) return found;
      if (this.#isClosed) throw new Error('the daemon has closed the connection');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Waits until the daemon has closed the connection. */
  async closed(): Promise<void> {
    while (!this.#isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #parse(): void {
    while (true) {
      const header = /^Content-Length: (\d+)\r\n\r\n/.exec(this.#text);
      if (header === null) return;
      const start = header[0].length;
      const end = start + Number(header[1]);
      if (this.#text.length < end) return;
      this.messages.push(JSON.parse(this.#text.slice(start, end)));
      this.#text = this.#text.slice(end);
    }
  }
}
