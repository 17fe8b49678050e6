import { describe, expect, test } from 'vitest';
import { createMemoryFile, identifyFile } from '../../src/ffi/descriptors.ts';
import { Region } from '../../src/vfio-user/device.ts';
import { encodeRegionAccess } from '../../src/vfio-user/payload.ts';
import { Command, Errno, HeaderFlag, Limit, putHeader } from '../../src/vfio-user/wire.ts';
import { MemoryDevice, Pair } from './pair.ts';

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, i * 4);
  return bytes;
}

function header(id: number, command: number, size: number, flags: number): Buffer {
  const bytes = Buffer.alloc(16);
  putHeader(new DataView(bytes.buffer, bytes.byteOffset), id, command, size, flags);
  return bytes;
}

describe('what the device is', () => {
  test('a PCI device with reset, nine regions and five interrupt indexes', () => {
    using pair = new Pair();
    const { payload } = pair.client.request(Command.DEVICE_GET_INFO, words(16, 0, 0, 0));
    expect(payload).toEqual(words(16, 3, 9, 5));
  });

  test('a region tells its size; one that is missing has size 0 and no error', () => {
    using pair = new Pair();
    const info = (index: number) =>
      pair.client.request(Command.DEVICE_GET_REGION_INFO, words(32, 0, index, 0, 0, 0, 0, 0));
    expect(info(0).payload).toEqual(words(32, 3, 0, 0, 4096, 0, 0, 0));
    expect(info(6).payload).toEqual(words(32, 0, 6, 0, 0, 0, 0, 0));
    expect(info(9).error).toBe(Errno.EINVAL);
  });

  test('a region partly mappable tells first how long its answer is, then which parts, with the file', () => {
    const file = createMemoryFile('bar', 8192);
    const areas = [{ offset: 4096, size: 4096 }];
    const device = new MemoryDevice({ [Region.CONFIG]: 256 }, [0, 0, 0, 0, 0], {
      0: { size: 8192, mapping: { fd: file, offset: 0, areas } },
    });
    using pair = new Pair(device);
    pair.keep(file);
    const ask = (argsz: number) =>
      pair.client.request(Command.DEVICE_GET_REGION_INFO, words(argsz, 0, 0, 0, 0, 0, 0, 0));
    const first = ask(32);
    expect(first.payload).toEqual(words(64, 7, 0, 0, 8192, 0, 0, 0));
    expect(first.fds).toEqual([]);
    const second = ask(64);
    expect(second.payload).toEqual(
      words(64, 15, 0, 32, 8192, 0, 0, 0, 0x1_0001, 0, 1, 0, 4096, 0, 4096, 0),
    );
    expect(second.fds).toHaveLength(1);
    expect(identifyFile(pair.keep(second.fds[0]!)).inode).toBe(identifyFile(file).inode);
  });

  test('a region mappable as a whole comes with its file at once', () => {
    const file = createMemoryFile('bar', 4096);
    const device = new MemoryDevice({ [Region.CONFIG]: 256 }, [0, 0, 0, 0, 0], {
      2: { size: 4096, mapping: { fd: file, offset: 0, areas: [] } },
    });
    using pair = new Pair(device);
    pair.keep(file);
    const reply = pair.client.request(
      Command.DEVICE_GET_REGION_INFO,
      words(32, 0, 2, 0, 0, 0, 0, 0),
    );
    expect(reply.payload).toEqual(words(32, 7, 2, 0, 4096, 0, 0, 0));
    expect(reply.fds).toHaveLength(1);
    pair.keep(reply.fds[0]!);
  });

  test('interrupt indexes tell their vectors; MSI and MSI-X can be resized', () => {
    using pair = new Pair();
    const info = (index: number) =>
      pair.client.request(Command.DEVICE_GET_IRQ_INFO, words(16, 0, index, 0));
    expect(info(0).payload).toEqual(words(16, 7, 0, 1));
    expect(info(1).payload).toEqual(words(16, 1, 1, 4));
    expect(info(2).payload).toEqual(words(16, 1, 2, 16));
    expect(info(5).error).toBe(Errno.EINVAL);
  });

  test('no ioeventfds are offered', () => {
    using pair = new Pair();
    const reply = pair.client.request(Command.DEVICE_GET_REGION_IO_FDS, words(16, 0, 0, 4));
    expect(reply.payload).toEqual(words(16, 0, 0, 0));
    const bad = pair.client.request(Command.DEVICE_GET_REGION_IO_FDS, words(16, 0, 9, 0));
    expect(bad.error).toBe(Errno.EINVAL);
  });

  test.each([
    ['DEVICE_GET_INFO', Command.DEVICE_GET_INFO, 16],
    ['DEVICE_GET_REGION_INFO', Command.DEVICE_GET_REGION_INFO, 32],
    ['DEVICE_GET_REGION_IO_FDS', Command.DEVICE_GET_REGION_IO_FDS, 16],
    ['DEVICE_GET_IRQ_INFO', Command.DEVICE_GET_IRQ_INFO, 16],
    ['DMA_MAP', Command.DMA_MAP, 32],
    ['DMA_UNMAP', Command.DMA_UNMAP, 24],
    ['DEVICE_SET_IRQS', Command.DEVICE_SET_IRQS, 20],
    ['REGION_READ', Command.REGION_READ, 16],
    ['REGION_WRITE', Command.REGION_WRITE, 16],
    ['REGION_WRITE_MULTI', Command.REGION_WRITE_MULTI, 8],
    ['DEVICE_FEATURE', Command.DEVICE_FEATURE, 8],
    ['MIG_DATA_READ', Command.MIG_DATA_READ, 8],
  ])('%s shorter than its structure, or with a smaller argsz, is refused', (_, command, size) => {
    using pair = new Pair();
    expect(pair.client.request(command, Buffer.alloc(size - 1, 0xff)).error).toBe(Errno.EINVAL);
    expect(pair.client.request(command, Buffer.alloc(0)).error).toBe(Errno.EINVAL);
    if (size === 8 && command !== Command.DEVICE_FEATURE && command !== Command.MIG_DATA_READ)
      return;
    if (command === Command.REGION_READ || command === Command.REGION_WRITE) return;
    expect(pair.client.request(command, Buffer.alloc(size)).error).toBe(Errno.EINVAL);
  });

  test('payloads longer than the structure are taken', () => {
    using pair = new Pair();
    const long = Buffer.alloc(4096);
    words(32, 0, 7).copy(long);
    const { payload } = pair.client.request(Command.DEVICE_GET_REGION_INFO, long);
    expect(payload).toEqual(words(32, 3, 7, 0, 256, 0, 0, 0));
  });
});

describe('accesses', () => {
  test.each([1, 2, 4] as const)('%i bytes are one access, aligned or not', (width) => {
    using pair = new Pair();
    pair.client.write(0, 5, width, 0x11223344 & (2 ** (8 * width) - 1));
    expect(pair.client.read(0, 5, width)).toBe(0x11223344 & (2 ** (8 * width) - 1));
    expect(pair.device.takeLog().map((line) => line.split(' ').slice(0, 4).join(' '))).toEqual([
      `write 0 5 ${width}`,
      `read 0 5 ${width}`,
    ]);
  });

  test('8 bytes are two accesses of 4, low half first', () => {
    using pair = new Pair();
    pair.client.writeRegion(0, 8, Buffer.from('0102030405060708', 'hex'));
    expect(pair.client.readRegion(0, 8, 8)).toEqual(Buffer.from('0102030405060708', 'hex'));
    expect(pair.device.takeLog()).toEqual([
      `write 0 8 4 ${0x04030201}`,
      `write 0 12 4 ${0x08070605}`,
      'read 0 8 4',
      'read 0 12 4',
    ]);
  });

  test('longer ones are cut into naturally aligned pieces', () => {
    using pair = new Pair();
    pair.client.writeRegion(2, 1, Buffer.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
    expect(pair.client.readRegion(2, 1, 10)).toEqual(Buffer.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
    expect(pair.device.takeLog().slice(5)).toEqual([
      'read 2 1 1',
      'read 2 2 2',
      'read 2 4 4',
      'read 2 8 2',
      'read 2 10 1',
    ]);
  });

  test('the whole config space can be read at once', () => {
    using pair = new Pair();
    pair.device.bytes[Region.CONFIG]!.fill(0x5a);
    expect(pair.client.readRegion(Region.CONFIG, 0, 256)).toEqual(Buffer.alloc(256, 0x5a));
  });

  test('the reply repeats what was asked for', () => {
    using pair = new Pair();
    const request = encodeRegionAccess({ region: 0, offset: 16, count: 4 });
    const { payload } = pair.client.request(Command.REGION_READ, request);
    expect(payload.subarray(0, 16)).toEqual(Buffer.from(request));
    expect(payload).toHaveLength(20);
    const write = encodeRegionAccess({ region: 0, offset: 16, count: 4 }, words(7));
    expect(pair.client.request(Command.REGION_WRITE, write).payload).toEqual(
      Buffer.from(write.subarray(0, 16)),
    );
  });

  test.each([
    ['past the end', { region: 0, offset: 4094, count: 4 }],
    ['far past the end', { region: 0, offset: 2 ** 52, count: 1 }],
    ['of a region that is missing', { region: 1, offset: 0, count: 1 }],
    ['of an index that is no region', { region: 9, offset: 0, count: 1 }],
    ['above the largest transfer', { region: 0, offset: 0, count: Limit.MAX_DATA_XFER_SIZE + 1 }],
  ])('an access %s is refused and does not reach the device', (_, access) => {
    using pair = new Pair();
    const read = pair.client.request(Command.REGION_READ, encodeRegionAccess(access));
    const data = Buffer.alloc(Math.min(access.count, 8));
    const write = pair.client.request(Command.REGION_WRITE, encodeRegionAccess(access, data));
    expect([read.error, write.error]).toEqual([Errno.EINVAL, Errno.EINVAL]);
    expect(pair.device.takeLog()).toEqual([]);
  });

  test('an offset that wraps around 64 bits is refused', () => {
    using pair = new Pair();
    const request = Buffer.from(encodeRegionAccess({ region: 0, offset: 0, count: 4 }));
    request.fill(0xff, 0, 8);
    expect(pair.client.request(Command.REGION_READ, request).error).toBe(Errno.EINVAL);
  });

  test('a write with less data than it claims is refused', () => {
    using pair = new Pair();
    const request = encodeRegionAccess({ region: 0, offset: 0, count: 8 }, words(1));
    expect(pair.client.request(Command.REGION_WRITE, request).error).toBe(Errno.EINVAL);
    expect(pair.device.takeLog()).toEqual([]);
  });

  test('a region that cannot be written, or read, refuses it', () => {
    const device = new MemoryDevice({ [Region.CONFIG]: 256 }, [0, 0, 0, 0, 0], {
      0: { size: 64, writable: false },
      1: { size: 64, readable: false },
    });
    using pair = new Pair(device);
    expect(() => pair.client.write(0, 0, 4, 1)).toThrow('EINVAL');
    expect(pair.client.read(0, 0, 4)).toBe(0);
    expect(() => pair.client.read(1, 0, 4)).toThrow('EINVAL');
    pair.client.write(1, 0, 4, 1);
  });

  test('posted writes get no answer, and a read after them sees them', () => {
    using pair = new Pair();
    for (let i = 0; i < 50; i++) pair.client.write(0, 4 * i, 4, i + 1, true);
    expect(pair.client.read(0, 4 * 49, 4)).toBe(50);
    expect(pair.device.takeLog()).toHaveLength(51);
  });

  test('a posted write that is wrong gets no answer either', () => {
    using pair = new Pair();
    pair.client.write(0, 5000, 4, 1, true);
    expect(pair.client.read(0, 0, 4)).toBe(0);
  });

  test('many writes in one message happen in order', () => {
    using pair = new Pair();
    const entries = Array.from({ length: 200 }, (_, i) =>
      Buffer.concat([words(4 * i, 0, 0, 4), words(i, 0)]),
    );
    const payload = Buffer.concat([words(200, 0), ...entries]);
    pair.client.send(Command.REGION_WRITE_MULTI, payload, { noReply: true });
    expect(pair.client.read(0, 4 * 199, 4)).toBe(199);
    expect(pair.device.takeLog()).toHaveLength(201);
    const reply = pair.client.request(Command.REGION_WRITE_MULTI, payload);
    expect(reply.payload).toEqual(words(200, 0));
  });

  test.each([
    ['more entries than there are', Buffer.concat([words(2, 0), words(0, 0, 0, 4, 1, 0)])],
    ['an absurd number of entries', Buffer.concat([words(0xffff_ffff, 0xffff_ffff)])],
    ['an entry of more than 8 bytes', Buffer.concat([words(1, 0), words(0, 0, 0, 9, 1, 0)])],
    ['an entry outside its region', Buffer.concat([words(1, 0), words(4093, 0, 0, 4, 1, 0)])],
  ])('many writes with %s are refused', (_, payload) => {
    using pair = new Pair();
    const reply = pair.client.request(Command.REGION_WRITE_MULTI, payload);
    expect(reply.error).toBe(Errno.EINVAL);
    expect(pair.device.takeLog()).toEqual([]);
  });

  test('a device that throws costs the client an EIO, and the thrower learns of it', () => {
    using pair = new Pair();
    pair.device.hook = () => {
      pair.device.hook = undefined;
      throw new Error('broken');
    };
    expect(() => pair.client.read(0, 0, 4)).toThrow('broken');
    expect(pair.client.receive()?.error).toBe(Errno.EIO);
    expect(pair.client.read(0, 0, 4)).toBe(0);
  });
});

test('DEVICE_RESET resets', () => {
  using pair = new Pair();
  pair.client.reset();
  expect(pair.device.takeLog()).toEqual(['reset']);
});

describe('what is not supported', () => {
  test.each([
    ['migration data', Command.MIG_DATA_READ, words(8, 4096)],
    ['migration data to load', Command.MIG_DATA_WRITE, words(8, 0)],
    ['probing for migration', Command.DEVICE_FEATURE, words(8, 0x4_0000 | 0x1_0000 | 1)],
    ['asking for the device state', Command.DEVICE_FEATURE, words(16, 0x1_0000 | 2, 0, 0)],
    ['setting the device state', Command.DEVICE_FEATURE, words(16, 0x2_0000 | 2, 1, 0)],
    ['dirty page logging', Command.DEVICE_FEATURE, words(8, 0x2_0000 | 6)],
    ['a feature of the future', Command.DEVICE_FEATURE, words(8, 0x1_0000 | 99)],
  ])('%s is refused with ENOTSUP', (_, command, payload) => {
    using pair = new Pair();
    expect(pair.client.request(command, payload).error).toBe(Errno.ENOTSUP);
  });

  test.each([
    ['no operation', words(8, 1)],
    ['to get and to set at once', words(8, 0x3_0000 | 1)],
    ['an unknown operation', words(8, 0x10_0000 | 1)],
  ])('a feature with %s is refused with EINVAL', (_, payload) => {
    using pair = new Pair();
    expect(pair.client.request(Command.DEVICE_FEATURE, payload).error).toBe(Errno.EINVAL);
  });

  test.each([0, Command.DMA_READ, Command.DMA_WRITE, Command.DIRTY_PAGES, 19, 0xffff])(
    'command %i is refused with EINVAL',
    (command) => {
      using pair = new Pair();
      expect(pair.client.request(command, Buffer.alloc(64)).error).toBe(Errno.EINVAL);
      expect(pair.client.read(0, 0, 4)).toBe(0);
    },
  );
});

describe('the stream', () => {
  test('messages cut anywhere are put together', () => {
    using pair = new Pair();
    const message = Buffer.concat([
      header(7, Command.REGION_WRITE, 36, HeaderFlag.COMMAND),
      encodeRegionAccess({ region: 0, offset: 8, count: 4 }, words(0xabcd)),
    ]);
    for (const byte of message) pair.client.sendBytes(Buffer.from([byte]));
    expect(pair.client.receive()).toMatchObject({ id: 7, error: 0 });
    expect(pair.device.bytes[0]!.readUInt32LE(8)).toBe(0xabcd);
  });

  test('several messages in one piece are answered in order', () => {
    using pair = new Pair();
    const one = (id: number) =>
      Buffer.concat([
        header(id, Command.REGION_READ, 32, HeaderFlag.COMMAND),
        encodeRegionAccess({ region: 0, offset: id, count: 1 }),
      ]);
    pair.client.sendBytes(Buffer.concat([one(3), one(3), one(0), one(65535 & 0xfff)]));
    const ids = [1, 2, 3, 4].map(() => pair.client.receive()?.id);
    expect(ids).toEqual([3, 3, 0, 0xfff]);
  });

  test('the longest write there may be goes through', () => {
    const size = Limit.MAX_DATA_XFER_SIZE;
    using pair = new Pair(new MemoryDevice({ 0: size, [Region.CONFIG]: 256 }));
    const data = Buffer.alloc(size, 0x42);
    pair.client.writeRegion(0, 0, data);
    expect(pair.device.bytes[0]!.equals(data)).toBe(true);
  });

  test.each([0, 8, 15])('a header that claims %i bytes is refused', (size) => {
    using pair = new Pair();
    pair.client.sendBytes(header(5, Command.REGION_READ, size, 0));
    expect(pair.client.receive()).toMatchObject({ id: 5, flags: 0x21, error: Errno.EINVAL });
    expect(pair.client.read(0, 0, 4)).toBe(0);
  });

  test('a header that claims more than the limit is refused and ends the connection', () => {
    using pair = new Pair();
    pair.client.sendBytes(header(5, Command.REGION_WRITE, Limit.MESSAGE + 1, 0));
    expect(pair.client.receive()).toMatchObject({ id: 5, flags: 0x21, error: Errno.EINVAL });
    expect(pair.client.receive()).toBeUndefined();
    expect(pair.device.ended?.type).toBe('protocol');
  });

  test.each([
    ['a reply that answers nothing', HeaderFlag.REPLY],
    ['a type that does not exist', 2],
    ['a command with the error flag', HeaderFlag.ERROR],
  ])('%s is refused', (_, flags) => {
    using pair = new Pair();
    pair.client.sendBytes(
      Buffer.concat([
        header(9, Command.REGION_READ, 32, flags),
        encodeRegionAccess({ region: 0, offset: 0, count: 4 }),
      ]),
    );
    expect(pair.client.receive()).toMatchObject({ id: 9, flags: 0x21, error: Errno.EINVAL });
    expect(pair.device.takeLog()).toEqual([]);
    expect(pair.client.read(0, 0, 4)).toBe(0);
  });

  test('a command that wants no reply gets none, whatever it is', () => {
    using pair = new Pair();
    for (const command of [4, 5, 6, 7, 8, 9, 13, 14, 16, 17, 99]) {
      pair.client.send(command, Buffer.alloc(32), { noReply: true });
    }
    const id = pair.client.send(Command.DEVICE_GET_INFO, words(16, 0, 0, 0));
    expect(pair.client.receive()?.id).toBe(id);
  });

  test('the client going away is told to the device, once', () => {
    using pair = new Pair();
    pair.client.close();
    expect(pair.server.processReadable()).toBe(false);
    expect(pair.server.processReadable()).toBe(false);
    expect(pair.device.ended).toEqual({ type: 'closed' });
    expect(pair.state.ownedFds()).toEqual([]);
  });

  test('a reply that finds nobody ends the connection as closed', () => {
    using pair = new Pair();
    pair.device.hook = () => pair.client.close();
    expect(() => pair.client.read(0, 0, 4)).toThrow();
    pair.server.processReadable();
    expect(pair.device.ended).toEqual({ type: 'closed' });
  });
});

describe('descriptors', () => {
  test.each([
    ['REGION_READ', Command.REGION_READ, encodeRegionAccess({ region: 0, offset: 0, count: 4 })],
    ['DEVICE_GET_INFO', Command.DEVICE_GET_INFO, words(16, 0, 0, 0)],
    ['an unknown command', 99, new Uint8Array()],
  ])('that come with %s are refused and closed', (_, command, payload) => {
    using pair = new Pair();
    const before = pair.state.ownedFds();
    const reply = pair.client.request(command, payload, [pair.eventFd(), pair.eventFd()]);
    expect(reply.error).toBe(Errno.EINVAL);
    expect(pair.state.ownedFds()).toEqual(before);
  });

  test('belong to the last message of those that arrive together', () => {
    using pair = new Pair();
    const fd = pair.keep(createMemoryFile('ram', 8192));
    const read = Buffer.concat([
      header(1, Command.REGION_READ, 32, 0),
      encodeRegionAccess({ region: 0, offset: 0, count: 4 }),
    ]);
    const map = Buffer.concat([
      header(2, Command.DMA_MAP, 48, 0),
      words(32, 3, 0, 0, 0x1000, 0, 8192, 0),
    ]);
    pair.client.sendBytes(Buffer.concat([read, read, map]), [fd]);
    const replies = [1, 2, 3].map(() => pair.client.receive());
    expect(replies.map((reply) => [reply?.id, reply?.error])).toEqual([
      [1, 0],
      [1, 0],
      [2, 0],
    ]);
    expect(pair.port.memory.aperture(0x1000, 16)).toBeDefined();
  });

  test('may come with the first byte of a message that is not complete yet', () => {
    using pair = new Pair();
    const fd = pair.keep(createMemoryFile('ram', 8192));
    pair.client.sendBytes(header(2, Command.DMA_MAP, 48, 0), [fd]);
    pair.client.sendBytes(words(32, 3, 0, 0, 0x1000, 0, 8192, 0));
    expect(pair.client.receive()).toMatchObject({ id: 2, error: 0 });
    expect(pair.port.memory.aperture(0x1000, 16)).toBeDefined();
  });

  test('of a message that never completes are closed with the connection', () => {
    using pair = new Pair();
    pair.client.sendBytes(header(2, Command.DMA_MAP, 48, 0), [pair.eventFd(), pair.eventFd()]);
    expect(pair.state.ownedFds()).toHaveLength(3);
    pair.client.close();
    pair.server.processReadable();
    expect(pair.state.ownedFds()).toEqual([]);
  });

  test('more than agreed on are refused and closed', () => {
    using pair = new Pair();
    const fds = Array.from({ length: 17 }, () => pair.eventFd());
    const before = pair.state.ownedFds();
    expect(() => pair.client.setTriggers(2, 0, fds, 16)).toThrow('EINVAL');
    expect(pair.state.ownedFds()).toEqual(before);
  });
});

describe('a device that cannot be served is refused when the server is made', () => {
  test('without nine regions', () => {
    const device = Object.assign(new MemoryDevice(), { regions: [] });
    expect(() => new Pair(device)).toThrow('0 regions');
  });

  test('with more vectors than there can be', () => {
    expect(() => new Pair(new MemoryDevice(undefined, [1, 33, 0, 0, 0]))).toThrow(
      'Cannot serve 33 vectors of interrupt index 1',
    );
  });
});
