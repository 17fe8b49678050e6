import { performance } from 'node:perf_hooks';
import { closeFd } from '../../src/ffi/descriptors.ts';
import { addressOf, libc, nativeBuffer } from '../../src/ffi/libc.ts';
import { SocketMessage } from '../../src/ffi/socket-message.ts';
import { errnoName } from '../../src/ffi/system-call-error.ts';
import { setReceiveTimeout } from '../../src/ffi/unix-socket.ts';
import { VfioUserClient } from '../../src/vfio-user/client.ts';
import { Region } from '../../src/vfio-user/device.ts';
import { encodeRegionAccess } from '../../src/vfio-user/payload.ts';
import { VfioUserError } from '../../src/vfio-user/vfio-user-error.ts';
import {
  Command,
  commandName,
  getUint64,
  HEADER_SIZE,
  HeaderFlag,
  PayloadSize,
  putHeader,
  putUint64,
} from '../../src/vfio-user/wire.ts';

const SOL_SOCKET = 1;
const SO_SNDTIMEO = 21;
const EAGAIN = 11;
/** A signal ends a wait on a socket that has a time limit, whatever SA_RESTART says (signal(7)). */
const EINTR = 4;
/** Writes per REGION_WRITE_MULTI, as QEMU packs them. */
export const PACKED = 200;
/** Bits of a header's flags that say what an answer is. */
const ANSWER = HeaderFlag.TYPE | HeaderFlag.ERROR;
/** Where replies go in the client's memory. */
const IN = 32_768;

/** A register of a server's device. */
export interface Register {
  readonly region: number;
  /** Bytes from the region's start. */
  readonly offset: number;
}

/** What a server said of its device. */
export interface ServerIdentity {
  /** `1234:11e8, class 00ff00, revision 10`; says so where there is no config space. */
  readonly device: string;
  /** Bytes of each region, by index. */
  readonly regions: readonly number[];
  /** Whether it takes many writes in one message. */
  readonly packs: boolean;
}

/**
 * A client that sends prebuilt messages and blocks for replies: as little as a client can do, so that what is measured
 * is the server. Every failure names the server and what was under way.
 */
export class PlainClient implements Disposable {
  readonly #client: VfioUserClient;
  readonly #path: string;
  readonly #message = new SocketMessage();
  readonly #memory = new ArrayBuffer(65_536);
  readonly #bytes = Buffer.from(this.#memory);
  readonly #view = new DataView(this.#memory);
  readonly #address = addressOf(this.#bytes);
  readonly #timeoutMs: number;
  readonly identity: ServerIdentity;
  #packedLength = 0;

  private constructor(client: VfioUserClient, path: string, timeoutMs: number) {
    this.#client = client;
    this.#path = path;
    this.#timeoutMs = timeoutMs;
    const reply = this.#setUp('negotiate', () => client.negotiate());
    if ((reply.flags & HeaderFlag.ERROR) !== 0) {
      throw this.#failure('negotiate', `it answers VERSION with ${errnoName(reply.error)}`);
    }
    this.identity = this.#setUp('look at the device', () => this.#identify(reply.payload));
    const time = nativeBuffer(128);
    const view = new DataView(time.buffer);
    putUint64(view, 0, Math.floor(timeoutMs / 1000));
    putUint64(view, 8, (timeoutMs % 1000) * 1000);
    libc().setsockopt(client.fd, SOL_SOCKET, SO_SNDTIMEO, addressOf(time), 16);
    // From here on the socket blocks.
    setReceiveTimeout(client.fd, timeoutMs);
  }

  /**
   * Connects, negotiates and asks what the device is.
   * @param timeoutMs the longest wait for any answer
   * @throws VfioUserError that names the server, what was tried and why it failed
   */
  static connect(path: string, timeoutMs: number): PlainClient {
    let client: VfioUserClient;
    try {
      client = VfioUserClient.connect(path, { timeoutMs });
    } catch (error) {
      if (error instanceof RangeError) throw new VfioUserError(error.message, 'EINVAL');
      if (!(error instanceof VfioUserError)) throw error;
      const reason = CONNECT_REASONS[error.code];
      if (reason === undefined) throw error;
      throw new VfioUserError(`Cannot connect to ${path}: ${reason}`, error.code, {
        cause: error.cause,
      });
    }
    try {
      return new PlainClient(client, path, timeoutMs);
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Puts the accesses of this register where they are sent from, and tries each once.
   * @param target undefined: no write is ever sent
   * @throws VfioUserError when the device has no such register */
  prepare(source: Register, target: Register | undefined): void {
    this.#require(source);
    const read = encodeRegionAccess({ ...source, count: 4 });
    this.#build(Message.READ, Command.REGION_READ, 0, read);
    this.read();
    if (target === undefined) return;
    this.#require(target);
    // What is there is written back: the least that a write to a strange device can do.
    const data = this.#setUp('read a register', () =>
      Uint8Array.from(this.#client.readRegion(target.region, target.offset, 4)),
    );
    const write = encodeRegionAccess({ ...target, count: 4 }, data);
    this.#build(Message.WRITE, Command.REGION_WRITE, 0, write);
    this.#build(Message.POSTED, Command.REGION_WRITE, HeaderFlag.NO_REPLY, write);
    const entry = PayloadSize.WRITE_MULTI_ENTRY;
    const entries = new Uint8Array(PayloadSize.WRITE_MULTI + entry * PACKED);
    putUint64(new DataView(entries.buffer), 0, PACKED);
    for (let i = 0; i < PACKED; i++) entries.set(write, PayloadSize.WRITE_MULTI + entry * i);
    this.#build(Message.PACKED, Command.REGION_WRITE_MULTI, HeaderFlag.NO_REPLY, entries);
    this.#packedLength = HEADER_SIZE + entries.length;
    this.write();
    this.post();
    if (this.identity.packs) this.postPacked();
    this.read();
  }

  /** Reads the register and waits for the value. */
  read(): void {
    this.#send(Message.READ, HEADER_SIZE + PayloadSize.REGION_ACCESS);
    this.#receive(Command.REGION_READ, HEADER_SIZE + PayloadSize.REGION_ACCESS + 4);
  }

  /** Writes the register and waits for the acknowledgement. */
  write(): void {
    this.#send(Message.WRITE, HEADER_SIZE + PayloadSize.REGION_ACCESS + 4);
    this.#receive(Command.REGION_WRITE, HEADER_SIZE + PayloadSize.REGION_ACCESS);
  }

  /** Writes the register without an answer. */
  post(): void {
    this.#send(Message.POSTED, HEADER_SIZE + PayloadSize.REGION_ACCESS + 4);
  }

  /** Writes the register {@link PACKED} times in one message without an answer. */
  postPacked(): void {
    this.#send(Message.PACKED, this.#packedLength);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  #identify(version: Buffer): ServerIdentity {
    const about = this.#client.request(Command.DEVICE_GET_INFO, words(16, 0, 0, 0));
    if ((about.flags & HeaderFlag.ERROR) !== 0) {
      throw this.#failure('DEVICE_GET_INFO', `it answers with ${errnoName(about.error)}`);
    }
    const info = about.payload;
    const count = Math.min(info.length >= 12 ? info.readUInt32LE(8) : 0, Region.COUNT);
    const regions = Array.from({ length: count }, (_, index) => {
      const asked = words(32, 0, index, 0, 0, 0, 0, 0);
      const reply = this.#client.request(Command.DEVICE_GET_REGION_INFO, asked);
      for (const fd of reply.fds) closeFd(fd);
      if (reply.payload.length < PayloadSize.REGION_INFO) return 0;
      return getUint64(new DataView(Uint8Array.from(reply.payload).buffer), 16);
    });
    return {
      device: this.#describeDevice(regions),
      regions,
      packs: /"write_multiple"\s*:\s*true/.test(version.toString('latin1')),
    };
  }

  #describeDevice(regions: readonly number[]): string {
    if ((regions[Region.CONFIG] ?? 0) < 64) return 'a device without config space';
    const config = this.#client.readRegion(Region.CONFIG, 0, 16);
    const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
    const ids = `${hex(config.readUInt16LE(0), 4)}:${hex(config.readUInt16LE(2), 4)}`;
    const classCode = hex(config.readUIntLE(9, 3), 6);
    return `${ids}, class ${classCode}, revision ${hex(config.readUInt8(8), 2)}`;
  }

  #require({ region, offset }: Register): void {
    const { regions } = this.identity;
    const size = regions[region] ?? 0;
    if (offset + 4 <= size) return;
    const there = regions.flatMap((length, index) =>
      length > 0 ? [`${index} (0x${length.toString(16)} bytes)`] : [],
    );
    throw this.#failure(
      `access 4 bytes at 0x${offset.toString(16)} of region ${region}`,
      size === 0
        ? `its device has no region ${region}, but ${there.join(', ') || 'none at all'}`
        : `the region has 0x${size.toString(16)} bytes`,
    );
  }

  #build(at: number, command: number, flags: number, payload: Uint8Array): void {
    putHeader(new DataView(this.#memory, at), 1, command, HEADER_SIZE + payload.length, flags);
    this.#bytes.set(payload, at + HEADER_SIZE);
  }

  #send(at: number, length: number): void {
    for (let done = 0; done < length; ) {
      const from = this.#address + at + done;
      const sent = this.#message.send(this.#client.fd, from, length - done, undefined, true);
      if (sent === -EINTR) continue;
      if (sent <= 0) throw this.#ended('send to it', sent);
      done += sent;
    }
  }

  /** Blocks until an answer of `length` bytes has come. */
  #receive(command: number, length: number): void {
    const view = this.#view;
    for (let done = 0; done < length; ) {
      const to = this.#address + IN + done;
      const received = this.#message.receive(this.#client.fd, to, IN - done, true);
      if (received === -EINTR) continue;
      if (received <= 0) throw this.#ended(commandName(command), received);
      done += received;
      if (done < HEADER_SIZE) continue;
      if (
        view.getUint32(IN + 4, true) !== length ||
        (view.getUint32(IN + 8, true) & ANSWER) !== HeaderFlag.REPLY ||
        view.getUint16(IN + 2, true) !== command ||
        done > length
      ) {
        throw this.#badReply(command, length);
      }
    }
  }

  #badReply(command: number, length: number): VfioUserError {
    const view = this.#view;
    const got = commandName(view.getUint16(IN + 2, true));
    const flags = view.getUint32(IN + 8, true);
    const name = commandName(command);
    if ((flags & HeaderFlag.TYPE) !== HeaderFlag.REPLY) {
      return this.#failure(name, `it sent ${got} of its own, which this client does not serve`);
    }
    if (got !== name) {
      return this.#failure(name, `it answered ${got}, which asked for no answer`);
    }
    if ((flags & HeaderFlag.ERROR) !== 0) {
      return this.#failure(name, `it answers with ${errnoName(view.getUint32(IN + 12, true))}`);
    }
    const size = view.getUint32(IN + 4, true);
    return this.#failure(name, `its answer has ${size} bytes and not ${length}`);
  }

  #ended(what: string, result: number): VfioUserError {
    if (result === -EAGAIN) {
      return this.#failure(what, `it did not answer within ${this.#timeoutMs} ms`, 'ETIMEDOUT');
    }
    const reason = result === 0 ? '' : ` (${errnoName(-result)})`;
    return this.#failure(what, `it has closed the connection${reason}`, 'EPIPE');
  }

  #failure(what: string, reason: string, code = 'EPROTO'): VfioUserError {
    return new VfioUserError(
      `Cannot measure the server at ${this.#path}: ${what}: ${reason}`,
      code,
    );
  }

  /** Does something with the slow client, and says of its failures whose they are. */
  #setUp<T>(what: string, action: () => T): T {
    const started = performance.now();
    try {
      return action();
    } catch (error) {
      if (!(error instanceof Error) || error.message.startsWith('Cannot measure')) throw error;
      const { code } = error as { readonly code?: string };
      const reason =
        code === 'ETIMEDOUT'
          ? `it did not answer within ${Math.round(performance.now() - started)} ms (does it have another client?)`
          : code === 'EPIPE' || code === 'ECONNRESET'
            ? 'it has closed the connection'
            : error.message;
      const failure = this.#failure(what, reason, code);
      failure.cause = error instanceof VfioUserError ? error.cause : error;
      throw failure;
    }
  }
}

/** Offsets of the prebuilt messages in the client's memory. */
const Message = { READ: 0, WRITE: 1024, POSTED: 2048, PACKED: 4096 } as const;

const CONNECT_REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket; start the server first',
  ECONNREFUSED: 'nobody listens on it, or it is no socket; start the server first',
  EACCES: 'this user may not; run as the user of the server',
};

function words(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}
