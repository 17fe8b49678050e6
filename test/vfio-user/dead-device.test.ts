import { readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { closeFd, createMemoryFile, takeEventFd } from '../../src/ffi/descriptors.ts';
import { socketPair } from '../../src/ffi/unix-socket.ts';
import { workerExecArgv } from '../../src/transport/typescript-loader.ts';
import { VfioUserClient } from '../../src/vfio-user/client.ts';
import { DeadDevice } from '../../src/vfio-user/dead-device.ts';
import { Irq, Region } from '../../src/vfio-user/device.ts';
import { encodeRegionAccess } from '../../src/vfio-user/payload.ts';
import { Phase, ServerState } from '../../src/vfio-user/server-state.ts';
import { Command } from '../../src/vfio-user/wire.ts';
import { Pair } from './pair.ts';

/** A pair whose device is taken over in the middle of an access, on the same thread. */
function takenOver(access: (client: VfioUserClient) => void): {
  readonly pair: Pair;
  readonly client: VfioUserClient;
  readonly dead: DeadDevice;
} {
  const pair = new Pair();
  let dead: DeadDevice | undefined;
  pair.device.hook = () => {
    pair.device.hook = undefined;
    dead = DeadDevice.takeOver(pair.state.buffer);
  };
  access(pair.client);
  return { pair, client: pair.client, dead: dead! };
}

/** A client on the same socket that is answered by the dead device. */
function clientOf(pair: Pair, dead: DeadDevice): VfioUserClient {
  return new VfioUserClient(pair.client.fd, { pump: () => dead.processReadable() });
}

test('an open read is answered with all ones, once', () => {
  const { pair, dead } = takenOver((client) => {
    expect(client.read(0, 4, 4)).toBe(0xffff_ffff);
  });
  const client = clientOf(pair, dead);
  expect(client.read(0, 8, 2)).toBe(0xffff);
  expect(client.read(0, 8, 1)).toBe(0xff);
  expect(client.readRegion(Region.CONFIG, 0, 256)).toEqual(Buffer.alloc(256, 0xff));
  pair.client.close();
  dead.close();
});

test('the server that lost the connection ends without touching it', () => {
  const { pair, dead } = takenOver((client) => {
    client.read(0, 4, 4);
  });
  expect(pair.server.closed).toBe(true);
  expect(pair.device.ended).toEqual({ type: 'local' });
  pair.server.close();
  pair.server.signal(Irq.MSIX, 0);
  expect(clientOf(pair, dead).read(0, 0, 4)).toBe(0xffff_ffff);
  pair.client.close();
  dead.close();
});

test('what had arrived behind the open message is answered too, in order', () => {
  const pair = new Pair();
  let dead: DeadDevice | undefined;
  pair.device.hook = () => {
    pair.device.hook = undefined;
    dead = DeadDevice.takeOver(pair.state.buffer);
  };
  const message = (id: number) => {
    const bytes = Buffer.alloc(32);
    bytes.writeUInt16LE(id, 0);
    bytes.writeUInt16LE(Command.REGION_READ, 2);
    bytes.writeUInt32LE(32, 4);
    Buffer.from(encodeRegionAccess({ region: 0, offset: 0, count: 4 })).copy(bytes, 16);
    return bytes;
  };
  pair.client.sendBytes(
    Buffer.concat([message(1), message(2), message(3), message(4).subarray(0, 20)]),
  );
  const replies = [1, 2, 3].map(() => pair.client.receive());
  expect(replies.map((reply) => reply?.id)).toEqual([1, 2, 3]);
  expect(replies.every((reply) => reply?.payload.readUInt32LE(16) === 0xffff_ffff)).toBe(true);
  const client = clientOf(pair, dead!);
  client.sendBytes(message(4).subarray(20));
  expect(client.receive()?.id).toBe(4);
  pair.client.close();
  dead!.close();
});

test('a connection taken over between messages goes on', () => {
  const pair = new Pair();
  const dead = DeadDevice.takeOver(pair.state.buffer);
  const client = clientOf(pair, dead);
  expect(client.read(0, 0, 4)).toBe(0xffff_ffff);
  pair.server.processReadable();
  client.send(Command.REGION_READ, encodeRegionAccess({ region: 0, offset: 0, count: 4 }));
  expect(client.receive()?.payload.readUInt32LE(16)).toBe(0xffff_ffff);
  pair.client.close();
  dead.close();
});

test('everything else succeeds, so that a VMM can reset and unplug what is left', () => {
  const pair = new Pair();
  const fd = pair.eventFd();
  const ram = pair.keep(createMemoryFile('ram', 8192));
  pair.client.mapMemory(0, 8192, ram);
  pair.client.setTriggers(Irq.MSIX, 0, [fd]);
  const dead = DeadDevice.takeOver(pair.state.buffer);
  const client = clientOf(pair, dead);
  client.write(0, 0, 4, 1);
  client.reset();
  client.setTriggers(Irq.MSIX, 1, [fd]);
  client.setIrqs(0x21, Irq.MSIX, 0, 0);
  client.unmapMemory(0, 8192);
  client.mapMemory(0, 8192, ram);
  const info = Buffer.alloc(32);
  info.writeUInt32LE(32, 0);
  const reply = client.request(Command.DEVICE_GET_REGION_INFO, info);
  expect([reply.payload.readUInt32LE(4), reply.payload.readUInt32LE(16)]).toEqual([3, 4096]);
  const owned = pair.state.ownedFds().length;
  client.mapMemory(0x10000, 8192, ram);
  expect(pair.state.ownedFds()).toHaveLength(owned + 1);
  client.unmapMemory(0x10000, 8192);
  expect(pair.state.ownedFds()).toHaveLength(owned);
  pair.client.close();
  expect(dead.processReadable()).toBe(false);
  dead.close();
  dead.close();
  expect(pair.state.ownedFds()).toEqual([]);
  expect(pair.state.mappingCount).toBe(0);
  expect(takeEventFd(fd)).toBe(0);
});

test('a connection that has ended cannot be taken over', () => {
  const pair = new Pair();
  pair.close();
  expect(() => DeadDevice.takeOver(pair.state.buffer)).toThrow('without a connected socket');
});

test('the state names the open access while a device works on it', () => {
  using pair = new Pair();
  const seen: unknown[] = [];
  pair.device.hook = () => seen.push(pair.state.isOpen, pair.state.message);
  pair.client.read(0, 12, 4);
  expect(seen).toEqual([true, { command: Command.REGION_READ, region: 0, offset: 12, count: 4 }]);
  expect(pair.state.isOpen).toBe(false);
  const before = pair.state.progress;
  pair.client.read(0, 12, 4);
  expect(pair.state.progress).not.toBe(before);
  expect(pair.state.progress & Phase.MASK).toBe(Phase.IDLE);
});

/** Serves on a thread that stops answering once BAR 0 offset 0x40 is read: for ever, or dead. */
const SERVE = `
  import { workerData, parentPort } from 'node:worker_threads';
  const { VfioUserServer } = await import(workerData.server);
  const { ServerState } = await import(workerData.state);
  const { MemoryDevice } = await import(workerData.pair);
  const device = new MemoryDevice();
  const read = device.readRegion.bind(device);
  device.readRegion = (region, offset, width) => {
    if (region === 0 && offset === 0x40) {
      if (workerData.death) process.exit(3);
      for (;;);
    }
    return read(region, offset, width);
  };
  const server = new VfioUserServer({ fd: workerData.fd, state: ServerState.of(workerData.buffer), device: () => device });
  parentPort.postMessage('ready');
  await server.serve();
`;

async function serveOnThread(fd: number, state: ServerState, death: boolean): Promise<Worker> {
  const url = (path: string) => new URL(path, import.meta.url).href;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(SERVE)}`), {
    execArgv: workerExecArgv(true),
    workerData: {
      fd,
      buffer: state.buffer,
      death,
      server: url('../../src/vfio-user/server.ts'),
      state: url('../../src/vfio-user/server-state.ts'),
      pair: url('./pair.ts'),
    },
  });
  await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  return worker;
}

test.each([
  ['dies in the middle of a read', true],
  ['never returns from a read', false],
])('the thread of a device that %s takes nothing with it', async (_, death) => {
  const fdsBefore = readdirSync('/proc/self/fd').length;
  const [mine, theirs] = socketPair();
  const state = ServerState.create();
  const worker = await serveOnThread(theirs, state, death);
  const client = new VfioUserClient(mine);
  client.negotiate();
  const ram = createMemoryFile('ram', 1 << 20);
  client.mapMemory(0, 1 << 20, ram);
  client.write(0, 0, 4, 0x1234);
  expect(client.read(0, 0, 4)).toBe(0x1234);
  expect(state.mappingCount).toBe(1);

  const id = client.send(
    Command.REGION_READ,
    encodeRegionAccess({ region: 0, offset: 0x40, count: 4 }),
  );
  if (death) await new Promise((resolve) => worker.once('exit', resolve));
  else while (!state.isOpen) await new Promise((resolve) => setImmediate(resolve));
  const dead = DeadDevice.takeOver(state.buffer);
  expect(client.receive()).toMatchObject({ id, error: 0 });
  const answered = new VfioUserClient(mine, { pump: () => dead.processReadable() });
  expect(answered.read(0, 0, 4)).toBe(0xffff_ffff);
  answered.unmapMemory(0, 1 << 20);
  await worker.terminate();
  client.close();
  dead.processReadable();
  dead.close();
  closeFd(ram);
  expect(state.mappingCount).toBe(0);
  expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(fdsBefore + 1);
});
