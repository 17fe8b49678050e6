import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Message = Readonly<Record<string, unknown>>;
export type Command = {
  readonly execute: string;
  readonly arguments?: Message;
  readonly id: number;
};
/** What the peer does with a command: returns its value, throws a QmpRefusal, or answers nothing. */
export type Handler = (command: Command) => unknown;

/** Answers nothing to a command. */
export const SILENCE = Symbol('silence');

/** Makes the peer answer with an error. */
export class Refusal {
  readonly kind: string;
  readonly description: string;

  constructor(description: string, kind = 'GenericError') {
    this.description = description;
    this.kind = kind;
  }
}

/** QEMU's side of a control connection, answering by a script, over a real unix socket. */
export class QmpPeer {
  readonly commands: Command[] = [];
  readonly client: Socket;
  readonly #socket: Socket;
  readonly #server: Server;
  readonly #folder: string;
  #rest = '';
  handler: Handler = () => ({});

  private constructor(server: Server, folder: string, client: Socket, socket: Socket) {
    this.#server = server;
    this.#folder = folder;
    this.client = client;
    this.#socket = socket;
    socket.setEncoding('utf8').on('data', (text: string) => this.#receive(text));
  }

  static async open(greet = true): Promise<QmpPeer> {
    const folder = mkdtempSync(join(tmpdir(), 'hdvc-'));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
    const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
    const client = connect(join(folder, 's'));
    const peer = new QmpPeer(server, folder, client, await accepted);
    if (greet) peer.send({ QMP: { version: {}, capabilities: [] } });
    return peer;
  }

  send(message: Message): void {
    this.#socket.write(`${JSON.stringify(message)}\r\n`);
  }

  write(text: string): void {
    this.#socket.write(text);
  }

  event(event: string, data: Message = {}): void {
    this.send({ event, data, timestamp: { seconds: 1, microseconds: 2 } });
  }

  /** Names of the commands that came, negotiation left out. */
  get asked(): string[] {
    return this.commands
      .map(({ execute }) => execute)
      .filter((name) => name !== 'qmp_capabilities');
  }

  async close(): Promise<void> {
    this.#socket.destroy();
    this.client.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #receive(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#answer(JSON.parse(line) as Command);
  }

  #answer(command: Command): void {
    this.commands.push(command);
    const answer = this.handler(command);
    if (answer === SILENCE) return;
    if (answer instanceof Refusal) {
      this.send({ error: { class: answer.kind, desc: answer.description }, id: command.id });
    } else {
      this.send({ return: answer, id: command.id });
    }
  }
}
