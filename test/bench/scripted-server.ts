import { createServer, type Server, type Socket } from 'node:net';
import { Command, HeaderFlag, putHeader } from '../../src/vfio-user/wire.ts';

/** What a server does when it is asked to read a register; `count` is how many it has been asked before. */
export type ReadScript = (count: number) => 'answer' | 'hang' | 'fail' | 'close' | 'short';

/** A vfio-user server with one BAR of 4 KiB that answers as it should, until its script says otherwise. */
export class ScriptedServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #read: ReadScript;
  #reads = 0;

  private constructor(read: ReadScript) {
    this.#read = read;
    this.#server = createServer((socket) => this.#converse(socket));
  }

  static async listen(path: string, read: ReadScript): Promise<ScriptedServer> {
    const scripted = new ScriptedServer(read);
    await new Promise<void>((resolve) => scripted.#server.listen(path, resolve));
    return scripted;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #converse(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    let bytes = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= 16 && bytes.length >= bytes.readUInt32LE(4)) {
        const message = bytes.subarray(0, bytes.readUInt32LE(4));
        bytes = bytes.subarray(message.length);
        this.#serve(socket, message);
      }
    });
  }

  #serve(socket: Socket, message: Buffer): void {
    const command = message.readUInt16LE(2);
    const payload = message.subarray(16);
    const noReply = (message.readUInt32LE(8) & HeaderFlag.NO_REPLY) !== 0;
    if (noReply) return;
    switch (command) {
      case Command.VERSION:
        reply(socket, message, Buffer.from('\0\0\0\0{"capabilities":{}}\0', 'latin1'));
        break;
      case Command.DEVICE_GET_INFO:
        reply(socket, message, words(16, 2, 9, 5));
        break;
      case Command.DEVICE_GET_REGION_INFO: {
        const index = payload.readUInt32LE(8);
        const answer = Buffer.concat([words(32, 3, index, 0), Buffer.alloc(16)]);
        answer.writeUInt32LE(index === 0 ? 4096 : index === 7 ? 256 : 0, 16);
        reply(socket, message, answer);
        break;
      }
      case Command.REGION_READ:
        this.#serveRead(socket, message, payload);
        break;
      case Command.REGION_WRITE:
        reply(socket, message, payload.subarray(0, 16));
        break;
      default:
        reply(socket, message, Buffer.alloc(0), 22);
    }
  }

  #serveRead(socket: Socket, message: Buffer, payload: Buffer): void {
    const region = payload.readUInt32LE(8);
    const data = Buffer.alloc(payload.readUInt32LE(12), region === 7 ? 0x12 : 0);
    const script = region === 7 ? 'answer' : this.#read(this.#reads++);
    if (script === 'answer') reply(socket, message, Buffer.concat([payload.subarray(0, 16), data]));
    else if (script === 'short') reply(socket, message, payload.subarray(0, 16));
    else if (script === 'fail') reply(socket, message, Buffer.alloc(0), 22);
    else if (script === 'close') socket.destroy();
  }
}

function words(...values: readonly number[]): Buffer {
  return Buffer.from(new Uint8Array(Uint32Array.from(values).buffer));
}

function reply(socket: Socket, request: Buffer, payload: Buffer, error = 0): void {
  const bytes = Buffer.alloc(16 + payload.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const flags = HeaderFlag.REPLY | (error === 0 ? 0 : HeaderFlag.ERROR);
  putHeader(view, request.readUInt16LE(0), request.readUInt16LE(2), bytes.length, flags, error);
  payload.copy(bytes, 16);
  socket.write(bytes);
}
