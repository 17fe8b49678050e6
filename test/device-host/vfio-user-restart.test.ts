import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  VfioUserWorkerDevice,
  type VfioUserWorkerOptions,
} from '../../src/device-host/vfio-user-worker-device.ts';
import {
  closeFd,
  createEventFd,
  createMemoryFile,
  takeEventFd,
} from '../../src/ffi/descriptors.ts';
import { mapFileOver, reserve, unmap, view } from '../../src/ffi/memory.ts';
import type { PlacementNotice } from '../../src/hdv/device-placement.ts';
import { encodeDmaMap, encodeSetIrqs } from '../../src/vfio-user/payload.ts';
import { Command, DmaFlag, IrqSet } from '../../src/vfio-user/wire.ts';
import { Trouble } from '../host/trouble-device.ts';
import { expectNoMore, heldResources, ServedClient } from './served-client.ts';

const MODULE = new URL('../host/restart-device.ts', import.meta.url);
const ROUNDS = process.env.HDVKIT_LONG ? 200 : 8;
const CONFIG = 7;
const ONES = 0xffff_ffff;
const RAM = 1 << 20;
const MSIX = 2;
const Reg = { ID: 0, WORD: 4, TROUBLE: 8, GPA: 16, COPY: 24, RAISE: 28, KEPT: 32 } as const;
/** Where the MSI-X capability is: the first one. */
const MSIX_CONTROL = 0x40;

let folder: string;
let sockets = 0;
const loaded: VfioUserWorkerDevice[] = [];
const guests: Guest[] = [];

beforeEach(() => {
  // Below the package, so that modules written there find it by name.
  folder = mkdtempSync(join(import.meta.dirname, 'tmp-'));
});

afterEach(async () => {
  for (const guest of guests.splice(0)) guest.close();
  await Promise.all(loaded.splice(0).map((device) => device.close()));
  rmSync(folder, { recursive: true });
});

/** A VMM with shared memory and one vector, whose guest has set the device up. */
class Guest {
  readonly served: ServedClient;
  readonly #ram = createMemoryFile('hdvkit-test', RAM);
  readonly #at = reserve(RAM);
  readonly memory: Buffer;
  readonly #vector = createEventFd();

  private constructor(served: ServedClient) {
    this.served = served;
    mapFileOver(this.#at, RAM, this.#ram, 0);
    this.memory = Buffer.from(view(this.#at, RAM));
  }

  static async connect(path: string): Promise<Guest> {
    const guest = new Guest(await ServedClient.connect(path));
    guests.push(guest);
    await guest.map(0, RAM);
    await guest.served.write(CONFIG, 0x10, 0xfebf_0000);
    await guest.served.write(CONFIG, 4, 6);
    await guest.served.write(CONFIG, MSIX_CONTROL, 0x8000_0000);
    const flags = IrqSet.DATA_EVENTFD | IrqSet.TRIGGER;
    const irqs = { argsz: 20, flags, index: MSIX, start: 1, count: 1 };
    await guest.served.request(Command.DEVICE_SET_IRQS, encodeSetIrqs(irqs), [guest.#vector]);
    return guest;
  }

  async map(address: number, size: number): Promise<void> {
    const flags = DmaFlag.READ | DmaFlag.WRITE;
    const window = { argsz: 32, flags, offset: 0, address, size };
    await this.served.request(Command.DMA_MAP, encodeDmaMap(window), [this.#ram]);
  }

  read(offset: number): Promise<number> {
    return this.served.read(0, offset);
  }

  write(offset: number, value: number): Promise<void> {
    return this.served.write(0, offset, value);
  }

  /** Has the device copy a text by DMA and interrupt, as a driver would. */
  async uses(): Promise<void> {
    this.memory.write('the guest goes on', 0x1000);
    this.memory.fill(0, 0x2000, 0x3000);
    takeEventFd(this.#vector);
    await this.write(Reg.GPA, 0x1000);
    await this.write(Reg.COPY, 0x2000);
    expect(this.memory.toString('latin1', 0x2000, 0x2011)).toBe('the guest goes on');
    await this.write(Reg.RAISE, 1);
    expect(await this.read(Reg.ID)).toBe(0x0e57_a127);
    expect(takeEventFd(this.#vector)).toBe(1);
  }

  close(): void {
    const at = guests.indexOf(this);
    if (at >= 0) guests.splice(at, 1);
    this.served.close();
    closeFd(this.#ram);
    closeFd(this.#vector);
    unmap(this.#at, RAM);
  }
}

interface Loaded {
  readonly device: VfioUserWorkerDevice;
  readonly notices: PlacementNotice[];
  /** Waits for the next failure that nobody has waited for. */
  failure(): Promise<Error>;
}

async function load(options: Partial<VfioUserWorkerOptions> = {}): Promise<Loaded> {
  const notices: PlacementNotice[] = [];
  const failures: Error[] = [];
  const waiting: ((error: Error) => void)[] = [];
  const device = await VfioUserWorkerDevice.load({
    source: { module: MODULE, exportName: undefined },
    socketPath: () => join(tmpdir(), `hdvt-${process.pid}-${sockets++}`),
    notify: (notice) => {
      notices.push(notice);
      if (notice.type !== 'failed') return;
      const next = waiting.shift();
      if (next === undefined) failures.push(notice.error);
      else next(notice.error);
    },
    heapLimit: 48,
    stallLimitMs: 500,
    ...options,
  });
  loaded.push(device);
  const failure = (): Promise<Error> => {
    const known = failures.shift();
    return known === undefined
      ? new Promise((resolve) => waiting.push(resolve))
      : Promise.resolve(known);
  };
  return { device, notices, failure };
}

async function running(
  options: Partial<VfioUserWorkerOptions> = {},
): Promise<Loaded & { readonly guest: Guest }> {
  const one = await load(options);
  const { socketPath } = await one.device.powerOn([]);
  return { ...one, guest: await Guest.connect(socketPath) };
}

describe('a device that died', () => {
  test.each([
    ['threw', Trouble.THROW],
    ['never returns', Trouble.LOOP],
    ['ended its thread', Trouble.EXIT],
    ['exhausted its heap', Trouble.FILL_HEAP],
    ['never returns from a DMA', Trouble.LOOP_IN_DMA],
  ])(
    'because it %s is restarted on its connection, and the guest goes on with what it has set up',
    async (_why, trouble) => {
      const { device, guest, failure } = await running();
      await guest.uses();
      await guest.write(Reg.WORD, 5);
      await guest.write(Reg.TROUBLE, trouble);
      await failure();
      expect(await guest.read(Reg.ID)).toBe(ONES);
      expect(await device.restart()).toEqual({ kept: false });
      expect(await guest.read(Reg.WORD)).toBe(0);
      expect(await guest.served.read(CONFIG, 0x10)).toBe(0xfebf_0000);
      await guest.uses();
    },
  );

  describe.each([
    ['its thread', Trouble.EXIT],
    ['alone', Trouble.THROW],
  ])('with %s', (_with, trouble) => {
    test('gets what its client has changed while it was dead', async () => {
      const { device, guest, failure } = await running();
      await guest.write(Reg.TROUBLE, trouble);
      await failure();
      await guest.served.write(CONFIG, 0x10, 0xfe00_0000);
      await guest.map(0x1000_0000, 0x1000);
      await device.restart();
      expect(await guest.served.read(CONFIG, 0x10)).toBe(0xfe00_0000);
      guest.memory.write('a window more', 0);
      await guest.write(Reg.GPA, 0x1000_0000);
      await guest.write(Reg.COPY, 0x2000);
      expect(guest.memory.toString('latin1', 0x2000, 0x200d)).toBe('a window more');
      await guest.uses();
    });

    test('is as after power-on when its client reset it while it was dead', async () => {
      const { device, guest, failure } = await running();
      await guest.write(Reg.TROUBLE, trouble);
      await failure();
      await guest.served.request(Command.DEVICE_RESET, Buffer.alloc(0));
      await device.restart();
      expect(await guest.served.read(CONFIG, 0x10)).toBe(0);
      expect((await guest.served.read(CONFIG, 4)) & 6).toBe(0);
    });
  });

  test('is restarted while an access is open, and that access has its answer', async () => {
    const { device, guest, failure } = await running();
    await guest.write(Reg.TROUBLE, Trouble.LOOP);
    const open = guest.read(Reg.WORD);
    await failure();
    const restarted = device.restart();
    expect(await open).toBe(ONES);
    await restarted;
    await guest.uses();
  });

  test('serves the next client when its own has gone', async () => {
    const { device, guest, failure } = await running();
    await guest.write(Reg.TROUBLE, Trouble.EXIT);
    await failure();
    guest.close();
    await device.restart();
    await device.powerOff();
    const { socketPath } = await device.powerOn([]);
    const next = await Guest.connect(socketPath);
    await next.uses();
  });

  test('is restarted twice when that is asked for twice', async () => {
    const { device, guest, failure, notices } = await running();
    await guest.write(Reg.TROUBLE, Trouble.EXIT);
    await failure();
    await Promise.all([device.restart(), device.restart()]);
    await guest.uses();
    expect(notices.filter(({ type }) => type === 'failed')).toHaveLength(1);
  });

  test('fails again like any other, and is restarted again', async () => {
    const { device, guest, failure } = await running();
    for (const trouble of [Trouble.EXIT, Trouble.THROW, Trouble.LOOP]) {
      await guest.write(Reg.TROUBLE, trouble);
      expect((await failure()).name).toBe('DeviceFailedError');
      await device.restart();
    }
    await guest.uses();
  });

  test(
    'leaves nothing behind, however often it is restarted',
    async () => {
      const { device, guest, failure } = await running();
      const kill = async (round: number): Promise<void> => {
        await guest.uses();
        if (round % 2 === 0) {
          await guest.write(Reg.TROUBLE, Trouble.EXIT);
          await failure();
        }
        await device.restart({ keepState: round % 4 === 1 });
      };
      await kill(0);
      await kill(1);
      // A fresh device maps the guest's memory before it answers, and maybe after it is said to be there.
      await guest.uses();
      const before = held();
      for (let round = 0; round < ROUNDS; round++) await kill(round);
      await guest.uses();
      await expectNoMore(before, held);
    },
    120_000 + ROUNDS * 10_000,
  );
});

function held() {
  return { ...heldResources(), threads: readdirSync('/proc/self/task').length };
}

describe('a device that is alive', () => {
  test('is restarted without its guest reading ones', async () => {
    const { device, guest, notices } = await running();
    await guest.write(Reg.WORD, 5);
    const restarted = device.restart();
    let over = false;
    void restarted.then(() => {
      over = true;
    });
    while (!over) expect(await guest.read(Reg.ID)).toBe(0x0e57_a127);
    expect(await restarted).toEqual({ kept: false });
    expect(await guest.read(Reg.WORD)).toBe(0);
    await guest.uses();
    expect(notices).toEqual([]);
  });

  test('ends when that is asked for while a fresh one is being loaded', async () => {
    const { device, guest } = await running();
    const restarted = device.restart();
    const refused = expect(restarted).rejects.toThrow('it was detached');
    await device.close();
    await refused;
    await expect(guest.read(Reg.ID)).rejects.toThrow('EPIPE');
  });

  test('hands its state to a fresh one', async () => {
    const { device, guest } = await running();
    await guest.write(Reg.WORD, 5);
    await guest.write(Reg.KEPT, 9);
    expect(await device.restart({ keepState: true })).toEqual({ kept: true });
    expect(await guest.read(Reg.WORD)).toBe(5);
    expect(await guest.read(Reg.KEPT)).toBe(9);
    await guest.uses();
  });
});

describe('a module that changed under a running guest', () => {
  /** Writes a device file, another one with each call. */
  const write = (register: string, { bar = 0x1000, more = '' } = {}): URL => {
    const file = join(folder, 'device.ts');
    writeFileSync(
      file,
      `import { mmio, msix, PciDevice, registerMap, u32 } from 'hdvkit';
       const MAP = registerMap({ ${register} });
       export class Changing extends PciDevice {
         identity = { vendorId: 1, deviceId: 2, classCode: 0xff0000 };
         interrupts = msix(2);
         regs = MAP.bind();
         bars = { 0: mmio(${bar}, { 0: this.regs }) };
         ${more}
       }`,
    );
    return pathToFileURL(file);
  };
  const ONE = 'VERSION: u32(0, { access: "ro", reset: 1 }), WORD: u32(4)';
  const source = (module: URL) => ({ source: { module, exportName: undefined } });
  const start = async (): Promise<Loaded & { readonly client: ServedClient }> => {
    const one = await load(source(write(ONE)));
    const { socketPath } = await one.device.powerOn([]);
    const client = await ServedClient.connect(socketPath);
    await client.write(CONFIG, 4, 6);
    await client.write(0, 4, 0x55);
    return { ...one, client };
  };

  test('replaces the device, whose registers the new one has where it takes them', async () => {
    const { client, device } = await start();
    write(ONE, { more: 'stop() { this.hasChanged = true; }' });
    expect(await device.restart({ keepState: true })).toEqual({ kept: true });
    expect(await client.read(0, 4)).toBe(0x55);

    write('OTHER: u32(0, { reset: 2 })');
    const { kept, reason } = await device.restart({ keepState: true });
    expect([kept, typeof reason]).toEqual([false, 'string']);
    expect(await client.read(0, 0)).toBe(2);
    client.close();
  });

  test('is a live device after the former one died of being powered off', async () => {
    const { device } = await load(source(write(ONE, { more: 'stop() { process.exit(5); }' })));
    const before = await ServedClient.connect((await device.powerOn([])).socketPath);
    await device.powerOff();
    write(ONE);
    const client = await ServedClient.connect((await device.powerOn([])).socketPath);
    await expect(before.read(CONFIG, 0)).rejects.toThrow();
    before.close();
    await client.write(CONFIG, 4, 6);
    await client.write(0, 4, 0x55);
    expect(await device.restart({ keepState: true })).toEqual({ kept: true });
    expect(await client.read(0, 4)).toBe(0x55);
    client.close();
  });

  test('and does not take the state of the old device begins anew', async () => {
    const { client, device, notices } = await start();
    write(ONE, { more: "restore() { throw new RangeError('too old'); }" });
    const result = await device.restart({ keepState: true });
    expect(result).toEqual({ kept: false, reason: expect.stringContaining('too old') });
    expect(await client.read(0, 4)).toBe(0);
    expect(notices).toEqual([]);
    client.close();
  });

  test.each([
    ['whose BAR has another size', { bar: 0x2000 }, /its BAR 0 is 0x2000 bytes.*knows 0x1000/],
    [
      'with another identity',
      { more: 'identity = { vendorId: 1, deviceId: 3, classCode: 0xff0000 };' },
      /its device id is 0x3, and the guest knows 0x2/,
    ],
    ['with other interrupts', { more: 'interrupts = msix(3);' }, /interrupts by msix\(3\)/],
    [
      'that throws',
      { more: "constructor() { super(); throw new Error('no'); }" },
      /threw Error: no/,
    ],
    ['that does not load', { more: '}}' }, /Cannot load/],
    [
      'that does not return from its configuration',
      { more: 'configure() { for (;;); }' },
      /did not return from a timer, a promise or a lifecycle hook/,
    ],
    [
      'that refuses its configuration',
      { more: "configure() { throw new RangeError('no such string'); }" },
      /no such string/,
    ],
  ])('%s leaves the old device where it is', async (_what, change, reason) => {
    const { client, device, notices } = await start();
    write(ONE, change);
    await expect(device.restart({ keepState: true })).rejects.toThrow(reason);
    expect(await client.read(0, 4)).toBe(0x55);
    expect(notices).toEqual([]);
    client.close();
  });
});
