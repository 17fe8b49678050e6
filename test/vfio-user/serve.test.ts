import { describe, expect, test, vi } from 'vitest';
import { closeFd, signalEventFd, takeEventFd } from '../../src/ffi/descriptors.ts';
import { libc } from '../../src/ffi/libc.ts';
import { socketPair } from '../../src/ffi/unix-socket.ts';
import { encodeRegionAccess } from '../../src/vfio-user/payload.ts';
import { SERVED_PER_WAIT, VfioUserServer, Wake } from '../../src/vfio-user/server.ts';
import { Command } from '../../src/vfio-user/wire.ts';
import { MemoryDevice, Pair } from './pair.ts';

const READ = encodeRegionAccess({ region: 0, offset: 0, count: 4 });

/** Leaves messages in the socket that nobody has served yet. */
function sendUnserved(pair: Pair, count: number): void {
  const { server, client } = pair;
  const serve = server.processReadable.bind(server);
  server.processReadable = () => true;
  for (let i = 0; i < count; i++) client.send(Command.REGION_READ, READ);
  server.processReadable = serve;
}

test('a wait ends with what came: nothing, messages, a control signal, or both', () => {
  using pair = new Pair();
  const control = pair.eventFd();
  expect(pair.server.wait(0, control)).toBe(0);
  expect(pair.server.wait(1, control)).toBe(0);
  sendUnserved(pair, 1);
  expect(pair.server.wait(-1, control)).toBe(Wake.MESSAGE);
  expect(pair.client.receive()?.command).toBe(Command.REGION_READ);
  signalEventFd(control);
  expect(pair.server.wait(-1, control)).toBe(Wake.CONTROL);
  sendUnserved(pair, 3);
  expect(pair.server.wait(-1, control)).toBe(Wake.CONTROL | Wake.MESSAGE);
  expect(takeEventFd(control)).toBe(1);
  expect(pair.device.takeLog()).toHaveLength(4);
});

describe('a wait for messages alone', () => {
  test('costs one receive and one send for an access, and nothing else', () => {
    using pair = new Pair();
    const names = Object.keys(libc()) as (keyof ReturnType<typeof libc>)[];
    // The first one sets the socket up.
    expect(pair.server.waitForMessages()).toBe(0);
    sendUnserved(pair, 1);
    const spies = names.map((name) => vi.spyOn(libc(), name));
    let calls: string[];
    try {
      expect(pair.server.waitForMessages()).toBe(Wake.MESSAGE);
      calls = names.filter((_, i) => spies[i]!.mock.calls.length > 0);
      expect(spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0)).toBe(2);
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
    expect(calls).toEqual(['recvmsg', 'send']);
    expect(pair.client.receive()?.command).toBe(Command.REGION_READ);
  });

  test('ends without any, whatever else there is', () => {
    using pair = new Pair();
    const control = pair.eventFd();
    signalEventFd(control);
    expect(pair.server.waitForMessages()).toBe(0);
    expect(pair.server.wait(0, control)).toBe(Wake.CONTROL);
  });

  test('sleeps, on a socket that another server has made non-blocking, too', () => {
    const O_NONBLOCK = 0x800;
    const F = { GETFL: 3, SETFL: 4 } as const;
    const [mine, theirs] = socketPair();
    libc().fcntl(theirs, F.SETFL, O_NONBLOCK);
    const server = new VfioUserServer({ fd: theirs, device: () => new MemoryDevice() });
    expect(libc().fcntl(theirs, F.GETFL, 0) & O_NONBLOCK).toBe(O_NONBLOCK);
    expect(server.waitForMessages()).toBe(0);
    expect(libc().fcntl(theirs, F.GETFL, 0) & O_NONBLOCK).toBe(0);
    server.close();
    closeFd(mine);
  });

  test('tells that the client is gone', () => {
    using pair = new Pair();
    pair.client.close();
    expect(pair.server.waitForMessages()).toBe(Wake.MESSAGE);
    expect(pair.device.ended).toEqual({ type: 'closed' });
    expect(pair.server.waitForMessages()).toBe(Wake.MESSAGE);
  });

  test('serves in parts, the rest without waiting', () => {
    using pair = new Pair();
    sendUnserved(pair, SERVED_PER_WAIT + 1);
    expect(pair.server.waitForMessages()).toBe(Wake.MESSAGE);
    expect(pair.device.takeLog()).toHaveLength(SERVED_PER_WAIT);
    expect(pair.server.waitForMessages()).toBe(Wake.MESSAGE);
    expect(pair.device.takeLog()).toHaveLength(1);
  });
});

test('a server knows whether a wait served reads and nothing else', () => {
  using pair = new Pair();
  const { server, client } = pair;
  const write = encodeRegionAccess({ region: 0, offset: 0, count: 4 }, Buffer.alloc(4));
  const post = () => {
    const serve = server.processReadable.bind(server);
    server.processReadable = () => true;
    client.send(Command.REGION_WRITE, write, { noReply: true });
    server.processReadable = serve;
  };
  const served = (wait: () => number): readonly [number, boolean] => [
    wait(),
    server.servedOnlyReads,
  ];
  for (const wait of [() => server.wait(0), () => server.waitForMessages()]) {
    sendUnserved(pair, 3);
    expect(served(wait)).toEqual([Wake.MESSAGE, true]);
    post();
    expect(served(wait)).toEqual([Wake.MESSAGE, false]);
    sendUnserved(pair, 1);
    post();
    sendUnserved(pair, 1);
    expect(served(wait)).toEqual([Wake.MESSAGE, false]);
    expect(served(wait)).toEqual([0, false]);
  }
});

test('messages that an exception left behind are served by the next wait', () => {
  using pair = new Pair();
  sendUnserved(pair, 3);
  pair.device.hook = () => {
    pair.device.hook = undefined;
    throw new Error('broken');
  };
  expect(() => pair.server.wait(-1)).toThrow('broken');
  expect(pair.device.takeLog()).toHaveLength(1);
  expect(pair.server.wait(-1)).toBe(Wake.MESSAGE);
  expect(pair.device.takeLog()).toHaveLength(2);
});

test('serving goes on until the client goes, and the event loop has its turns', async () => {
  using pair = new Pair();
  const control = pair.eventFd();
  const wakes: number[] = [];
  let turns = 0;
  const count = () => {
    turns++;
    signalEventFd(control);
  };
  sendUnserved(pair, 2);
  setImmediate(count);
  await pair.server.serve({
    controlFd: control,
    nextTimeout: () => 0,
    awake: (wake) => {
      wakes.push(wake);
      if ((wake & Wake.CONTROL) === 0) return;
      takeEventFd(control);
      pair.client.close();
    },
  });
  expect(turns).toBe(1);
  expect(wakes[0]).toBe(Wake.MESSAGE);
  expect(wakes).toContain(Wake.CONTROL);
  expect(pair.device.ended).toEqual({ type: 'closed' });
});

describe('a flood', () => {
  /** Writes that nobody waits for, sent before the server looks. */
  function flood(pair: Pair, messages: number, entries = 0): void {
    const { server, client } = pair;
    const serve = server.processReadable.bind(server);
    server.processReadable = () => true;
    const one = encodeRegionAccess({ region: 0, offset: 0, count: 4 }, Buffer.alloc(8));
    const head = Buffer.alloc(8);
    head.writeUInt32LE(entries);
    const many = Buffer.concat([head, ...Array.from({ length: entries }, () => one)]);
    for (let i = 0; i < messages; i++) {
      if (entries > 0) client.send(Command.REGION_WRITE_MULTI, many, { noReply: true });
      else client.send(Command.REGION_WRITE, one.subarray(0, 20), { noReply: true });
    }
    server.processReadable = serve;
  }

  test('is served in parts, between which timers run and control signals are seen', () => {
    using pair = new Pair();
    const control = pair.eventFd();
    flood(pair, 3 * SERVED_PER_WAIT + 5);
    signalEventFd(control);
    const parts: number[] = [];
    const wakes: number[] = [];
    for (let wake = -1; wake !== 0; ) {
      wake = pair.server.wait(0, wakes.includes(Wake.MESSAGE | Wake.CONTROL) ? -1 : control);
      wakes.push(wake);
      parts.push(pair.device.takeLog().length);
    }
    expect(Math.max(...parts)).toBe(SERVED_PER_WAIT);
    expect(parts.reduce((sum, part) => sum + part)).toBe(3 * SERVED_PER_WAIT + 5);
    expect(wakes[0]).toBe(Wake.MESSAGE | Wake.CONTROL);
  });

  test('of messages with many writes each is served in parts of no more than one message too many', () => {
    using pair = new Pair();
    flood(pair, 10, 40);
    const parts: number[] = [];
    while (pair.server.wait(0) !== 0) parts.push(pair.device.takeLog().length);
    expect(parts).toEqual([80, 80, 80, 80, 80]);
  });

  test('without end lets the event loop go on', () => {
    using pair = new Pair();
    const { device, server } = pair;
    let served = 0;
    flood(pair, 1);
    device.hook = () => {
      served++;
      if (served < 100_000) flood(pair, 1);
    };
    expect(server.processReadable()).toBe(true);
    expect(served).toBeLessThan(2000);
    device.hook = undefined;
    expect(server.wait(0)).toBe(Wake.MESSAGE);
  });
});

test('serving ends when the server is closed on being woken', async () => {
  using pair = new Pair();
  const control = pair.eventFd();
  signalEventFd(control);
  await pair.server.serve({ controlFd: control, awake: () => pair.server.close() });
  expect(pair.device.ended).toEqual({ type: 'local' });
  expect(pair.server.wait(-1)).toBe(Wake.MESSAGE);
  await pair.server.serve();
});

test('a device that ends its own connection within an access is not called again', () => {
  using pair = new Pair();
  pair.device.hook = () => pair.server.close();
  const entry = encodeRegionAccess({ region: 0, offset: 0, count: 4 }, Buffer.alloc(8));
  const payload = Buffer.concat([Buffer.from([3, 0, 0, 0, 0, 0, 0, 0]), entry, entry, entry]);
  pair.client.send(Command.REGION_WRITE_MULTI, payload);
  expect(pair.device.takeLog()).toHaveLength(1);
  expect(pair.client.receive()).toBeUndefined();
  expect(pair.state.ownedFds()).toEqual([]);
});

test('an access allocates nothing', () => {
  using pair = new Pair();
  pair.device.readRegion = () => 7;
  const { server, client } = pair;
  const serve = server.processReadable.bind(server);
  const rounds = 20_000;
  const batch = 100;
  const measure = (): number => {
    let grown = 0;
    for (let i = 0; i < rounds / batch; i++) {
      sendUnserved(pair, batch);
      const before = process.memoryUsage().heapUsed;
      serve();
      grown += Math.max(0, process.memoryUsage().heapUsed - before);
      for (let reply = 0; reply < batch; reply++) client.receive();
    }
    return grown / rounds;
  };
  measure();
  // Less than the smallest object per access; what asking for the figure allocates is spread over the batch.
  expect(measure()).toBeLessThan(16);
});
