import { closeSync, ftruncateSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { closeFd, createEventFd, createMemoryFile } from '../../src/ffi/descriptors.ts';
import { addressOf } from '../../src/ffi/libc.ts';
import { SocketMessage } from '../../src/ffi/socket-message.ts';
import { socketPair } from '../../src/ffi/unix-socket.ts';
import { VfioUserServer } from '../../src/vfio-user/server.ts';
import { ServerState } from '../../src/vfio-user/server-state.ts';
import { Limit } from '../../src/vfio-user/wire.ts';
import { type FuzzMessage, MessageGenerator, Random } from './message-generator.ts';
import { MemoryDevice } from './pair.ts';
import { type DecodedReply, decodeReply } from './reply-decoder.ts';

const LONG = process.env.HDVKIT_LONG === '1';
const MESSAGES = LONG ? 10_000_000 : 100_000;
const SEED = Number(process.env.HDVKIT_SEED ?? 20_240_917);

/** Errno numbers that a command may answer; EINVAL may always come. */
const ERRORS: Readonly<Record<number, readonly number[]>> = {
  2: [13, 17, 28],
  3: [2],
  16: [95],
  17: [95],
  18: [95],
};

interface Sent {
  readonly id: number;
  readonly command: number;
  readonly flags: number;
  readonly bytes: Buffer;
}

const socketMessage = new SocketMessage();
const outgoing = Buffer.from(new ArrayBuffer(1 << 18));
const incoming = Buffer.from(new ArrayBuffer(1 << 18));
const outgoingAddress = addressOf(outgoing);
const incomingAddress = addressOf(incoming);

/** One connection under fire, and the bookkeeping of what it owes. */
class Target {
  readonly device = new MemoryDevice();
  readonly state = ServerState.create();
  readonly server: VfioUserServer;
  readonly fd: number;
  /** The stream had a message after which it cannot be understood. */
  broken = false;
  #inEnd = 0;
  #sent: Buffer = Buffer.alloc(0);
  readonly #owed: Sent[] = [];
  #negotiated = false;
  /** A VERSION was sent that may or may not please; one that does not ends the connection. */
  #proposed = false;
  #offBeat = 0;

  constructor() {
    const [mine, theirs] = socketPair();
    this.fd = mine;
    this.server = new VfioUserServer({ fd: theirs, state: this.state, device: () => this.device });
  }

  /** Sends bytes as they are and lets the server serve. */
  send(bytes: Buffer, fds: readonly number[]): void {
    bytes.copy(outgoing);
    const sent = socketMessage.send(this.fd, outgoingAddress, bytes.length, fds);
    if (sent !== bytes.length) throw new Error(`sent ${sent} of ${bytes.length} bytes`);
    this.#sent = Buffer.concat([this.#sent, bytes]);
    this.#frame();
    this.server.processReadable();
    this.#receive();
  }

  /** Messages in a row whose end was not the end of a message to the server: what follows is noise to it. */
  get offBeat(): number {
    this.#offBeat = this.#sent.length === 0 ? 0 : this.#offBeat + 1;
    return this.#offBeat;
  }

  /** Everything owed was answered; a broken stream may have cost the connection. */
  settle(): void {
    if (this.#proposed && this.server.closed) return;
    expect(this.#owed).toEqual([]);
    expect(this.server.closed).toBe(this.broken);
  }

  /** Cuts what was sent into messages, by the protocol's own rules. */
  #frame(): void {
    while (this.#sent.length >= 16 && !this.broken) {
      const size = this.#sent.readUInt32LE(4);
      const tooLong = size > Limit.MESSAGE;
      const length = tooLong ? 16 : Math.max(size, 16);
      if (length > this.#sent.length) return;
      const bytes = this.#sent.subarray(0, length);
      this.#sent = Buffer.from(this.#sent.subarray(length));
      const flags = bytes.readUInt32LE(8);
      const command = bytes.readUInt16LE(2);
      if ((flags & 0x10) === 0) {
        this.#owed.push({ id: bytes.readUInt16LE(0), command, flags, bytes: Buffer.from(bytes) });
      }
      if (tooLong) this.broken = true;
      if (!this.#negotiated) {
        if (isVersion(bytes, size)) {
          this.#negotiated = true;
          this.#proposed = bytes.length !== 20;
        } else if (isCommand(bytes, size)) {
          this.broken = true;
        }
      }
    }
  }

  #receive(): void {
    for (;;) {
      const address = incomingAddress + this.#inEnd;
      const received = socketMessage.receive(this.fd, address, incoming.length - this.#inEnd);
      if (received <= 0) return;
      if (socketMessage.fdCount !== 0) throw new Error('the server sent descriptors');
      this.#inEnd += received;
      let start = 0;
      while (this.#inEnd - start >= 16) {
        const size = incoming.readUInt32LE(start + 4);
        if (size < 16) throw new Error(`a reply of ${size} bytes`);
        if (size > this.#inEnd - start) break;
        this.#check(Buffer.from(incoming.subarray(start, start + size)));
        start += size;
      }
      incoming.copyWithin(0, start, this.#inEnd);
      this.#inEnd -= start;
    }
  }

  #check(bytes: Buffer): void {
    const sent = this.#owed.shift();
    if (sent === undefined)
      throw new Error(`a reply that nobody asked for: ${bytes.toString('hex')}`);
    const reply = decodeReply(bytes);
    if (reply.id !== sent.id || reply.command !== sent.command) {
      throw new Error(`${reply.command}/${reply.id} answers ${sent.command}/${sent.id}`);
    }
    if (reply.error !== 0) {
      const allowed = reply.error === 22 || ERRORS[sent.command]?.includes(reply.error);
      if (!allowed) throw new Error(`errno ${reply.error} to ${sent.bytes.toString('hex')}`);
      return;
    }
    if ((sent.flags & 0x2f) !== 0) throw new Error(`flags ${sent.flags} were accepted`);
    this.#checkEcho(sent, reply, bytes);
  }

  /** What a successful reply repeats from its request. */
  #checkEcho(sent: Sent, reply: DecodedReply, bytes: Buffer): void {
    const repeated: Readonly<Record<number, number>> = { 3: 24, 9: 16, 10: 16, 15: 8 };
    const length = repeated[sent.command] ?? 0;
    const same = bytes.subarray(16, 16 + length).equals(sent.bytes.subarray(16, 16 + length));
    if (!same)
      throw new Error(`${bytes.toString('hex')} does not repeat ${sent.bytes.toString('hex')}`);
    const { index, region } = reply.payload;
    if (index !== undefined && index !== sent.bytes.readUInt32LE(24))
      throw new Error('wrong index');
    if (region !== undefined && (region as number) > 8) throw new Error('a region that is none');
  }
}

/** Whether the server has to understand these bytes as a command at all. */
function isCommand(bytes: Buffer, size: number): boolean {
  return size === bytes.length && (bytes.readUInt32LE(8) & 0x2f) === 0;
}

function isVersion(bytes: Buffer, size: number): boolean {
  return isCommand(bytes, size) && bytes.readUInt16LE(2) === 1;
}

/** Descriptors of all kinds, for the server to choke on. */
class Descriptors {
  readonly eventFds = Array.from({ length: 16 }, () => createEventFd());
  readonly memory = [1, 16, 64].map((pages) => createMemoryFile('hdvkit-fuzz', pages * 4096));
  readonly others: number[];

  constructor() {
    const sparse = createMemoryFile('hdvkit-fuzz', 4096);
    ftruncateSync(sparse, 2 ** 50);
    this.others = [sparse, openSync('/dev/null', 'r+'), openSync('/', 'r'), ...socketPair()];
    this.others.push(openSync('/proc/self/exe', 'r'));
  }

  choose(random: Random, { fds, fdKind }: FuzzMessage): number[] {
    const any = [...this.eventFds, ...this.memory, ...this.others];
    const from = fdKind === 'eventfd' ? this.eventFds : fdKind === 'memory' ? this.memory : any;
    return Array.from({ length: fds }, () => random.pick(from));
  }

  close(): void {
    for (const fd of [...this.eventFds, ...this.memory]) closeFd(fd);
    for (const fd of this.others) closeSync(fd);
  }
}

const VERSION = Buffer.from('010001001400000000000000000000000000000000000000'.slice(0, 40), 'hex');

/** Sends one message in one piece or several; its descriptors go with one of them. */
function deliver(target: Target, random: Random, message: FuzzMessage, fds: number[]): void {
  const { bytes } = message;
  if (bytes.length === 0) return;
  const cuts = random.chance(5) ? 1 + random.int(4) : 0;
  const ends = Array.from({ length: cuts }, () => 1 + random.int(bytes.length)).sort(
    (a, b) => a - b,
  );
  const carrier = random.int(cuts + 1);
  let start = 0;
  for (const [i, end] of [...ends, bytes.length].entries()) {
    if (target.server.closed) return;
    if (end > start) target.send(bytes.subarray(start, end), i === carrier ? fds : []);
    start = end;
  }
}

/** What the device does of its own accord meanwhile. */
function stir(target: Target, random: Random, stale: Buffer[]): void {
  const { server } = target;
  server.signal(random.int(6), random.int(20));
  if (random.chance(4)) server.setInterruptLine(random.chance(2));
  const gpa = random.int(64 * 4096);
  const readOnly = random.chance(2);
  const aperture = server.memory.aperture(gpa, 1 + random.int(20_000), { readOnly });
  if (aperture !== undefined) {
    aperture.bytes[random.int(aperture.length)] = 1;
    stale.push(aperture.bytes);
    if (random.chance(2)) aperture[Symbol.dispose]();
  }
  if (stale.length > 50) stale.splice(random.int(50), 10);
  for (const bytes of stale) bytes[random.int(bytes.length)]! ^= 1;
}

const collectGarbage = (() => {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
})();

test(`${MESSAGES} mutated messages neither crash nor hang the server, and each gets the reply it is owed`, {
  timeout: LONG ? 4 * 3_600_000 : 240_000,
}, async () => {
  const random = new Random(SEED);
  const descriptors = new Descriptors();
  const fdsBefore = readdirSync('/proc/self/fd').length;
  let connections = 0;
  let states: ServerState[] = [];
  const stale: Buffer[] = [];
  let target: Target | undefined;
  let generator = new MessageGenerator(random);
  let messages = 0;
  try {
    while (messages < MESSAGES) {
      if (target === undefined) {
        target = new Target();
        generator = new MessageGenerator(random);
        connections++;
        states.push(target.state);
        if (!random.chance(20)) target.send(VERSION, []);
      }
      const message = generator.next();
      deliver(target, random, message, descriptors.choose(random, message));
      messages++;
      if (random.chance(16)) stir(target, random, stale);
      target.device.log.length = 0;
      const stay = target.offBeat < 20 && !random.chance(2000);
      if (!target.server.closed && stay) continue;
      target.settle();
      closeFd(target.fd);
      target.server.processReadable();
      expect(target.server.closed).toBe(true);
      expect(target.state.ownedFds()).toEqual([]);
      target = undefined;
      if (connections % 20 !== 0) continue;
      await new Promise((resolve) => setImmediate(resolve));
      states = states.filter((state) => state.mappingCount > 0);
    }
  } catch (error) {
    throw new Error(`message ${messages} with HDVKIT_SEED=${SEED}: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    if (target !== undefined) {
      closeFd(target.fd);
      target.server.close();
    }
  }
  target = undefined;
  expect(connections).toBeGreaterThan(10);
  expect(readdirSync('/proc/self/fd').length).toBe(fdsBefore);
  expect(readFileSync('/proc/self/maps', 'utf8')).not.toContain('hdvkit-fuzz');
  stale.length = 0;
  for (let round = 0; round < 20 && states.some((state) => state.mappingCount > 0); round++) {
    collectGarbage();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(states.filter((state) => state.mappingCount > 0)).toHaveLength(0);
  descriptors.close();
});
