import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  VfioUserWorkerDevice,
  type VfioUserWorkerOptions,
} from '../../src/device-host/vfio-user-worker-device.ts';
import { closeFd, createMemoryFile } from '../../src/ffi/descriptors.ts';
import type { PlacementNotice } from '../../src/hdv/device-placement.ts';
import { encodeDmaMap, encodeRegionAccess } from '../../src/vfio-user/payload.ts';
import { SERVED_PER_WAIT } from '../../src/vfio-user/server.ts';
import { Command, DmaFlag, PayloadSize } from '../../src/vfio-user/wire.ts';
import { Trouble } from '../host/trouble-device.ts';
import { expectNoMore, heldResources, ServedClient } from './served-client.ts';

const module = new URL('../host/trouble-device.ts', import.meta.url);
const mapping = new URL('./aperture-loop-device.ts', import.meta.url);
const slicing = new URL('./slicing-device.ts', import.meta.url);
const CONFIG = 7;
const Reg = { ID: 0, SCRATCH: 4, TROUBLE: 8, TROUBLE_ON_READ: 12, TICKS: 16 } as const;

let folder: string;
let sockets = 0;
const loaded: VfioUserWorkerDevice[] = [];
const clients: ServedClient[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvt-'));
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await Promise.all(loaded.splice(0).map((device) => device.close()));
  rmSync(folder, { recursive: true });
});

interface Loaded {
  readonly device: VfioUserWorkerDevice;
  readonly notices: PlacementNotice[];
  /** Resolves with the error of the first failure that is reported. */
  readonly failure: Promise<Error>;
}

async function load(options: Partial<VfioUserWorkerOptions> = {}): Promise<Loaded> {
  const notices: PlacementNotice[] = [];
  let failed: (error: Error) => void;
  const failure = new Promise<Error>((resolve) => {
    failed = resolve;
  });
  const device = await VfioUserWorkerDevice.load({
    source: { module, exportName: undefined },
    socketPath: () => join(folder, `${sockets++}`),
    notify: (notice) => {
      notices.push(notice);
      if (notice.type === 'failed') failed(notice.error);
    },
    heapLimit: 48,
    ...options,
  });
  loaded.push(device);
  return { device, notices, failure };
}

/** Powers on, connects as a VMM does, and turns memory decoding and bus mastering on. */
async function connect(device: VfioUserWorkerDevice): Promise<ServedClient> {
  const { socketPath } = await device.powerOn([]);
  const client = await ServedClient.connect(socketPath);
  clients.push(client);
  await client.write(CONFIG, 4, 6);
  return client;
}

function disconnect(client: ServedClient): void {
  clients.splice(clients.indexOf(client), 1);
  client.close();
}

describe('a device on its worker', () => {
  test('answers accesses, and its timers run while nobody asks', async () => {
    const { device, notices } = await load();
    const client = await connect(device);
    expect(await client.read(0, Reg.ID)).toBe(0x7041_b1e0);
    await client.write(0, Reg.SCRATCH, 0xdead_beef);
    expect(await client.read(0, Reg.SCRATCH)).toBe(0xdead_beef);
    let ticks = 0;
    while (ticks < 3) ticks = await client.read(0, Reg.TICKS);
    expect(notices).toEqual([]);
  });

  test('goes on with its own work between parts of a flood of writes, however long that is', async () => {
    const source = { module: slicing, exportName: undefined };
    const { device } = await load({ source });
    const client = await connect(device);
    // Sent together: what is between the two reads of the count was done between them.
    const count = 10 * SERVED_PER_WAIT;
    const read = encodeRegionAccess({ region: 0, offset: 0, count: 4 });
    const write = encodeRegionAccess({ region: 0, offset: 4, count: 4 }, Buffer.alloc(4));
    client.client.send(Command.REGION_READ, read);
    for (let i = 0; i < count; i++) {
      client.client.send(Command.REGION_WRITE, write, { noReply: true });
    }
    client.client.send(Command.REGION_READ, read);
    const [before, after] = [client.client.receive(), client.client.receive()].map((reply) =>
      reply!.payload.readUInt32LE(PayloadSize.REGION_ACCESS),
    );
    expect(await client.read(0, 4)).toBe(count);
    expect(after! - before!).toBeGreaterThanOrEqual(count / SERVED_PER_WAIT - 1);
  });

  test('may be slow: it has the time that its limit gives it', async () => {
    const { device, notices } = await load({ stallLimitMs: 10_000 });
    const client = await connect(device);
    await client.write(0, Reg.TROUBLE_ON_READ, Trouble.SLOW);
    expect(await client.read(0, Reg.TROUBLE_ON_READ)).toBe(0x510);
    expect(notices).toEqual([]);
  });

  test('is reset when its client goes, and serves the next one', async () => {
    const { device } = await load();
    const { socketPath } = await device.powerOn([]);
    for (let round = 0; round < 3; round++) {
      const client = await ServedClient.connect(socketPath);
      await client.write(CONFIG, 4, 6);
      await client.write(CONFIG, 0x10, 0xfebf_0000);
      expect(await client.read(0, Reg.SCRATCH)).toBe(0);
      await client.write(0, Reg.SCRATCH, 1);
      client.close();
    }
    const client = await ServedClient.connect(socketPath);
    clients.push(client);
    expect(await client.read(CONFIG, 0x10)).toBe(0);
    expect((await client.read(CONFIG, 4)) & 6).toBe(0);
  });
});

describe('a device that goes wrong', () => {
  const ways: readonly [keyof typeof Trouble, number, RegExp][] = [
    ['THROW', Reg.TROUBLE, /thrown by a hook/],
    ['THROW', Reg.TROUBLE_ON_READ, /thrown by a hook/],
    ['LOOP', Reg.TROUBLE, /did not return from a write of 4 bytes at 0x8 of region 0/],
    ['LOOP', Reg.TROUBLE_ON_READ, /did not return from a read of 4 bytes at 0xc of region 0/],
    ['EXIT', Reg.TROUBLE, /process\.exit\(5\)/],
    ['EXIT', Reg.TROUBLE_ON_READ, /process\.exit\(5\)/],
    ['FILL_HEAP', Reg.TROUBLE_ON_READ, /out of heap/],
    ['LOOP_IN_TIMER', Reg.TROUBLE, /did not return from a timer/],
    ['THROW_LATE', Reg.TROUBLE, /thrown late/],
    ['REJECT', Reg.TROUBLE, /rejected/],
  ];

  test.each(ways)(
    'by %s at offset %d: the guest reads all ones from then on',
    async (way, at, why) => {
      const { device, notices, failure } = await load({ stallLimitMs: 500 });
      const client = await connect(device);
      await client.write(0, at, Trouble[way]);
      if (at === Reg.TROUBLE_ON_READ) expect(await client.read(0, at)).toBe(0xffff_ffff);
      const error = await failure;
      expect(error.name).toBe('DeviceFailedError');
      expect(String((error.cause as Error).message)).toMatch(why);
      expect(await client.read(0, Reg.ID)).toBe(0xffff_ffff);
      await client.write(0, Reg.SCRATCH, 1);
      expect(await client.read(0, Reg.SCRATCH)).toBe(0xffff_ffff);
      expect(notices.filter(({ type }) => type === 'failed')).toHaveLength(1);
    },
  );

  test('is given up though it maps guest memory all the time, in which it must not be ended', async () => {
    const source = { module: mapping, exportName: undefined };
    const { device, failure } = await load({ source, stallLimitMs: 100 });
    const client = await connect(device);
    const size = 2 ** 30;
    const ram = createMemoryFile('hdvkit-test', 2 * size);
    const flags = DmaFlag.READ | DmaFlag.WRITE;
    for (const address of [0, size]) {
      const window = { argsz: 32, flags, offset: address, address, size };
      await client.request(Command.DMA_MAP, encodeDmaMap(window), [ram]);
    }
    closeFd(ram);
    // Across the windows, so that each aperture has a view of its own.
    const written = client.write(0, 4, 2 * size - 0x1000);
    expect((await failure).message).toContain('did not return from a write of 4 bytes at 0x4');
    await written;
    expect(await client.read(0, 0)).toBe(0xffff_ffff);
  });

  test('leaves its neighbours alone, and comes back when it is powered off and on', async () => {
    const [broken, neighbour] = await Promise.all([load({ stallLimitMs: 500 }), load()]);
    const [client, other] = [await connect(broken.device), await connect(neighbour.device)];
    await client.write(0, Reg.TROUBLE, Trouble.LOOP);
    await broken.failure;
    expect(await other.read(0, Reg.ID)).toBe(0x7041_b1e0);
    disconnect(client);
    await broken.device.powerOff();
    const again = await connect(broken.device);
    expect(await again.read(0, Reg.ID)).toBe(0x7041_b1e0);
    expect(neighbour.notices).toEqual([]);
  });

  test('leaves no descriptor, mapping or socket behind', async () => {
    const warmUp = await load();
    await connect(warmUp.device);
    disconnect(clients[0]!);
    await warmUp.device.close();
    const before = heldResources();
    for (const way of [Trouble.EXIT, Trouble.LOOP]) {
      const { device, failure } = await load({ stallLimitMs: 500 });
      const { socketPath } = await device.powerOn([]);
      const client = await ServedClient.connect(socketPath);
      const memory = createMemoryFile('hdvkit-test', 1 << 20);
      client.client.mapMemory(0, 1 << 20, memory);
      closeFd(memory);
      await client.write(CONFIG, 4, 6);
      await client.write(0, Reg.TROUBLE, way);
      await failure;
      expect(await client.read(0, Reg.ID)).toBe(0xffff_ffff);
      client.close();
      await device.close();
      expect(existsSync(socketPath)).toBe(false);
    }
    await expectNoMore(before, heldResources);
  });

  test('refuses its configuration with its own words', async () => {
    const { device } = await load();
    await expect(device.powerOn(['coarse'])).rejects.toThrow("Cannot configure 'coarse'");
    const { socketPath } = await device.powerOn(['fine']);
    expect(existsSync(socketPath)).toBe(true);
  });

  test('is given up when it does not return from its configuration', async () => {
    const { device, failure } = await load({ stallLimitMs: 500 });
    await expect(device.powerOn(['loop'])).rejects.toThrow();
    expect(((await failure).cause as Error).message).toContain('lifecycle hook');
  });
});

test('a module that changed is another device after it was loaded afresh', async () => {
  // Below the package, so that the module finds it by name.
  const place = mkdtempSync(join(import.meta.dirname, 'tmp-'));
  try {
    const file = join(place, 'device.ts');
    const write = (name: string, size: number): void =>
      writeFileSync(
        file,
        `import { mmio, PciDevice, ram } from 'hdvkit';
         export class ${name} extends PciDevice {
           identity = { vendorId: 1, deviceId: 2, classCode: 0xff0000 };
           bars = { 0: mmio(${size}, { 0: ram(Buffer.alloc(16)) }) };
         }`,
      );
    write('Before', 0x1000);
    const { device } = await load({
      source: { module: pathToFileURL(file), exportName: undefined },
    });
    expect([device.name, device.shape.bars[0]?.size]).toEqual(['Before', 0x1000]);
    write('After', 0x2000);
    await device.restart();
    expect([device.name, device.shape.bars[0]?.size]).toEqual(['After', 0x2000]);
  } finally {
    rmSync(place, { recursive: true });
  }
});

describe('a module that is no device', () => {
  const modules: readonly [string, string, RegExp][] = [
    ['exports nothing', 'export const x = 1;', /exports no device class/],
    ['has a syntax error', 'export class {', /Cannot load .*device\.ts/],
    [
      'throws at construction',
      `import { PciDevice } from 'hdvkit';
       export class Broken extends PciDevice {
         identity = { vendorId: 1, deviceId: 2, classCode: 3 };
         constructor() { super(); throw new Error('no luck'); }
       }`,
      /constructor threw Error: no luck/,
    ],
  ];

  test.each(modules)(
    'that %s is refused with one clear message',
    async (_what, source, message) => {
      // Below the package, so that the module finds it by name.
      const place = mkdtempSync(join(import.meta.dirname, 'tmp-'));
      try {
        const file = join(place, 'device.ts');
        writeFileSync(file, source);
        const broken = { module: pathToFileURL(file), exportName: undefined };
        await expect(load({ source: broken })).rejects.toThrow(message);
      } finally {
        rmSync(place, { recursive: true });
      }
    },
  );
});
