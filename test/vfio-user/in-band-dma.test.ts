import { Worker } from 'node:worker_threads';
import { afterAll, expect, test } from 'vitest';
import { socketPair } from '../../src/ffi/unix-socket.ts';
import { workerExecArgv } from '../../src/transport/typescript-loader.ts';
import { type ClientMemory, VfioUserClient } from '../../src/vfio-user/client.ts';
import { ServerState } from '../../src/vfio-user/server-state.ts';
import { DmaFlag, Errno } from '../../src/vfio-user/wire.ts';

const START = { READ: 1, WRITE: 2, READ_WITHIN: 3 } as const;
const DONE = 1;
const FAILED = 2;

/** Guest memory that is not shared, and what was asked of it. */
class Guest implements ClientMemory {
  readonly bytes = Buffer.alloc(1 << 20);
  readonly asked: string[] = [];
  error = 0;
  during: (() => void) | undefined;

  read(gpa: number, into: Buffer): number {
    this.asked.push(`read ${gpa} ${into.length}`);
    const data = Buffer.from(this.bytes.subarray(gpa, gpa + into.length));
    this.during?.();
    data.copy(into);
    return this.error;
  }

  write(gpa: number, from: Buffer): number {
    this.asked.push(`write ${gpa} ${from.length}`);
    from.copy(this.bytes, gpa);
    this.during?.();
    return this.error;
  }
}

const thread = new Worker(new URL('./dma-thread.ts', import.meta.url), {
  execArgv: workerExecArgv(true),
});
thread.setMaxListeners(0);
afterAll(() => thread.terminate());
/** A device on a thread of its own, its client, and guest memory mapped without a descriptor. */
class Machine implements AsyncDisposable {
  readonly guest = new Guest();
  readonly client: VfioUserClient;
  readonly state = ServerState.create();
  readonly ended: Promise<{ readonly ended: string; readonly result: number }>;

  constructor(maxDataXferSize = 1 << 20) {
    const [mine, theirs] = socketPair();
    thread.postMessage({ fd: theirs, buffer: this.state.buffer });
    this.ended = new Promise((resolve) => {
      thread.on('message', (end) => {
        if (end.connection === theirs) resolve(end);
      });
    });
    this.client = new VfioUserClient(mine, { memory: this.guest, timeoutMs: 20_000 });
    this.client.negotiate(
      JSON.stringify({ capabilities: { max_data_xfer_size: maxDataXferSize, max_msg_fds: 8 } }),
    );
    this.client.mapMemory(0, 1 << 20, -1);
  }

  /** Starts a transfer and polls until it is over. @returns its result */
  transfer(kind: number, gpa: number, length: number): number {
    this.client.write(0, 0, 4, gpa);
    this.client.write(0, 4, 4, length);
    const before = this.client.read(0, 16, 4);
    this.client.write(0, 8, 4, kind);
    while (this.client.read(0, 16, 4) === before);
    return this.client.read(0, 12, 4);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.ended;
    expect(this.state.ownedFds()).toEqual([]);
  }
}

test('memory without a descriptor is read and written by messages', async () => {
  await using machine = new Machine();
  machine.guest.bytes.write('hello', 0x1234);
  expect(machine.transfer(START.READ, 0x1234, 5)).toBe(DONE);
  expect(machine.client.readRegion(2, 0, 5).toString()).toBe('hello');
  machine.client.writeRegion(2, 0, Buffer.from('world'));
  expect(machine.transfer(START.WRITE, 0x2000, 5)).toBe(DONE);
  expect(machine.guest.bytes.toString('latin1', 0x2000, 0x2005)).toBe('world');
  expect(machine.guest.asked).toEqual(['read 4660 5', 'write 8192 5']);
});

test('a transfer is cut into pieces of at most 128 KiB, so that QEMU can answer them', async () => {
  await using machine = new Machine();
  machine.guest.bytes.fill(0x5a);
  expect(machine.transfer(START.READ, 0, 300 << 10)).toBe(DONE);
  const bytes = machine.client.readRegion(2, 0, 300 << 10);
  expect(bytes.equals(Buffer.alloc(300 << 10, 0x5a))).toBe(true);
  expect(machine.guest.asked).toEqual(['read 0 131072', 'read 131072 131072', 'read 262144 45056']);
});

test('a client that takes only little gets little', async () => {
  await using machine = new Machine(1024);
  expect(machine.transfer(START.WRITE, 0, 2500)).toBe(DONE);
  expect(machine.guest.asked).toEqual(['write 0 1024', 'write 1024 1024', 'write 2048 452']);
});

test('within an access it fails at once, as the client could not answer', async () => {
  await using machine = new Machine();
  expect(machine.transfer(START.READ_WITHIN, 0, 4)).toBe(FAILED);
  expect(machine.client.read(2, 0, 4)).toBe(0xffff_ffff);
  expect(machine.guest.asked).toEqual([]);
});

test('accesses that come in between are answered first', async () => {
  await using machine = new Machine();
  const seen: number[] = [];
  machine.guest.during = () => {
    machine.guest.during = undefined;
    machine.client.write(0, 32, 4, 77);
    machine.client.write(0, 36, 4, 78, true);
    seen.push(machine.client.read(0, 32, 4), machine.client.read(0, 36, 4));
  };
  expect(machine.transfer(START.READ, 0, 4)).toBe(DONE);
  expect(seen).toEqual([77, 78]);
});

test('a window that goes in the middle of a transfer makes it fail', async () => {
  await using machine = new Machine();
  machine.guest.during = () => {
    machine.guest.during = undefined;
    machine.client.unmapMemory(1 << 20, 4096);
  };
  machine.client.mapMemory(1 << 20, 4096, -1);
  expect(machine.transfer(START.READ, (1 << 20) - 4, 8)).toBe(FAILED);
});

test('an address that the client refuses fails, and the next transfer works', async () => {
  await using machine = new Machine();
  machine.guest.error = Errno.ENODEV;
  expect(machine.transfer(START.READ, 0, 4)).toBe(FAILED);
  expect(machine.client.read(2, 0, 4)).toBe(0xffff_ffff);
  expect(machine.transfer(START.WRITE, 0, 4)).toBe(FAILED);
  machine.guest.error = 0;
  expect(machine.transfer(START.READ, 0, 4)).toBe(DONE);
});

test('read-only windows are not written', async () => {
  await using machine = new Machine();
  machine.client.mapMemory(1 << 20, 4096, -1, { flags: DmaFlag.READ });
  expect(machine.transfer(START.WRITE, 1 << 20, 4)).toBe(FAILED);
  expect(machine.guest.asked).toEqual([]);
});

test('a client that goes away in the middle ends the transfer, then the connection', async () => {
  const machine = new Machine();
  machine.guest.during = () => {
    machine.client.close();
    throw new Error('gone');
  };
  expect(() => machine.transfer(START.READ, 0, 4)).toThrow('gone');
  expect(await machine.ended).toMatchObject({ ended: 'closed', result: FAILED });
});

test('the longest read there may be goes through', async () => {
  await using machine = new Machine();
  expect(machine.client.readRegion(2, 0, 1 << 20)).toHaveLength(1 << 20);
});
