/**
 * What does a plain client wait for a register of a vfio-user server, and how many posted writes can it send?
 *
 * Without arguments the server is a register file on a worker thread; `--socket PATH` asks any server instead, which
 * must have a readable and writable dword at the start of its first BAR.
 */
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { addressOf } from '../src/ffi/libc.ts';
import { SocketMessage } from '../src/ffi/socket-message.ts';
import { connectUnix, socketPair } from '../src/ffi/unix-socket.ts';
import { workerExecArgv } from '../src/transport/typescript-loader.ts';
import { VfioUserClient } from '../src/vfio-user/client.ts';
import { Region, type VfioUserDevice } from '../src/vfio-user/device.ts';
import { encodeRegionAccess } from '../src/vfio-user/payload.ts';
import { VfioUserServer } from '../src/vfio-user/server.ts';
import { Command, HeaderFlag, putHeader, putUint64 } from '../src/vfio-user/wire.ts';
import { type Measurement, option, percentile, print } from './report.ts';

const ROUNDS = 15;
const READS = 2000;
const WRITES = 20_000;
/** Writes per REGION_WRITE_MULTI, as QEMU packs them. */
const PACKED = 200;

/** 32 registers behind BAR 0. */
function registerFile(): VfioUserDevice {
  const registers = new Uint32Array(32);
  return {
    regions: Array.from({ length: Region.COUNT }, (_, i) => ({
      size: i === 0 ? 128 : i === Region.CONFIG ? 256 : 0,
    })),
    irqCounts: [0, 0, 0, 0, 0],
    readRegion: (_region, offset) => registers[offset >>> 2]!,
    writeRegion: (_region, offset, _width, value) => {
      registers[offset >>> 2] = value;
    },
    reset: () => undefined,
    disconnected: () => undefined,
  };
}

/** Sends prebuilt messages and blocks for replies: as little as a client can do. */
class PlainClient {
  readonly #fd: number;
  readonly #message = new SocketMessage();
  readonly #memory = new ArrayBuffer(65_536);
  readonly #bytes = Buffer.from(this.#memory);
  readonly #address = addressOf(this.#bytes);

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Puts a message where it is sent from. @returns its address */
  build(at: number, command: number, flags: number, payload: Uint8Array): number {
    const view = new DataView(this.#memory, at);
    putHeader(view, 1, command, 16 + payload.length, flags);
    this.#bytes.set(payload, at + 16);
    return this.#address + at;
  }

  send(address: number, length: number): void {
    const sent = this.#message.send(this.#fd, address, length, undefined, true);
    if (sent !== length) throw new Error(`Cannot send: ${sent}`);
  }

  /** Blocks until `length` bytes have come. */
  receive(length: number): void {
    for (let done = 0; done < length; ) {
      const received = this.#message.receive(this.#fd, this.#address + 32_768, length - done, true);
      if (received <= 0) throw new Error(`Cannot receive: ${received}`);
      done += received;
    }
  }
}

function measure(fd: number): Measurement[] {
  const client = new PlainClient(fd);
  const read = client.build(
    0,
    Command.REGION_READ,
    0,
    encodeRegionAccess({ region: 0, offset: 0, count: 4 }),
  );
  const access = encodeRegionAccess({ region: 0, offset: 0, count: 4 }, Uint8Array.of(1, 2, 3, 4));
  const acknowledged = client.build(1024, Command.REGION_WRITE, 0, access);
  const posted = client.build(2048, Command.REGION_WRITE, HeaderFlag.NO_REPLY, access);
  const entries = new Uint8Array(8 + 24 * PACKED);
  putUint64(new DataView(entries.buffer), 0, PACKED);
  for (let i = 0; i < PACKED; i++) entries.set(access, 8 + 24 * i);
  const packed = client.build(4096, Command.REGION_WRITE_MULTI, HeaderFlag.NO_REPLY, entries);

  const readOnce = (): void => {
    client.send(read, 32);
    client.receive(36);
  };
  const writeOnce = (): void => {
    client.send(acknowledged, 36);
    client.receive(32);
  };
  const postAll = (address: number, length: number, count: number): number => {
    const started = process.hrtime.bigint();
    for (let i = 0; i < count; i++) client.send(address, length);
    readOnce();
    return 1e9 / Number(process.hrtime.bigint() - started);
  };
  const rates = (address: number, length: number, count: number, writes: number): number[] =>
    rounds(() => postAll(address, length, count) * writes);
  return [
    ...roundTrips('read', readOnce),
    ...roundTrips('acknowledged write', writeOnce),
    { name: 'posted writes', unit: 'per second', samples: rates(posted, 36, WRITES, WRITES) },
    {
      name: `posted writes, ${PACKED} in a message`,
      unit: 'per second',
      samples: rates(packed, 16 + entries.length, WRITES / PACKED, WRITES),
    },
  ];
}

/** The least that two threads can do over a socket: the other end sends back what it gets. */
function measureEcho(fd: number): Measurement[] {
  const client = new PlainClient(fd);
  const bytes = client.build(0, 0, 0, new Uint8Array(20));
  return roundTrips('bare echo over the same kind of socket, for scale', () => {
    client.send(bytes, 36);
    client.receive(36);
  });
}

function rounds(work: () => number): number[] {
  work();
  return Array.from({ length: ROUNDS }, work);
}

function roundTrips(name: string, work: () => void): Measurement[] {
  const p50: number[] = [];
  const p99: number[] = [];
  rounds(() => {
    const times: number[] = [];
    for (let i = 0; i < READS; i++) {
      const started = process.hrtime.bigint();
      work();
      times.push(Number(process.hrtime.bigint() - started) / 1000);
    }
    p50.push(percentile(times, 0.5));
    p99.push(percentile(times, 0.99));
    return 0;
  });
  return [
    { name: `${name}, p50`, unit: 'µs', samples: p50.slice(1) },
    { name: `${name}, p99`, unit: 'µs', samples: p99.slice(1) },
  ];
}

async function startThread(
  kind: 'serve' | 'echo',
): Promise<{ readonly fd: number; readonly worker: Worker }> {
  const [fd, theirs] = socketPair();
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { kind, fd: theirs },
    execArgv: workerExecArgv(true),
  });
  await once(worker, 'message');
  return { fd, worker };
}

/** Runs on a worker until its socket ends. */
async function runThread(kind: string, fd: number): Promise<void> {
  parentPort!.postMessage('ready');
  if (kind === 'serve') {
    await new VfioUserServer({ fd, device: registerFile }).serve();
    return;
  }
  const message = new SocketMessage();
  const bytes = Buffer.from(new ArrayBuffer(4096));
  const address = addressOf(bytes);
  for (let length = 1; length > 0; ) {
    length = message.receive(fd, address, 4096, true);
    if (length > 0) message.send(fd, address, length, undefined, true);
  }
}

async function main(): Promise<void> {
  const path = option('--socket');
  const measurements: Measurement[] = [];
  const server = path === undefined ? await startThread('serve') : undefined;
  const client = new VfioUserClient(server?.fd ?? connectUnix(path!), { timeoutMs: 30_000 });
  client.negotiate();
  measurements.push(...measure(client.fd));
  client.close();
  await server?.worker.terminate();
  const echo = await startThread('echo');
  measurements.push(...measureEcho(echo.fd));
  new VfioUserClient(echo.fd).close();
  await echo.worker.terminate();
  const where = path === undefined ? 'a register file on a worker thread' : `the server at ${path}`;
  print({ title: `Access to ${where} over vfio-user, from a plain blocking client`, measurements });
}

if (isMainThread) await main();
else await runThread(workerData.kind, workerData.fd);
