import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from 'vitest';
import { watchReadable } from '../../src/ffi/readable-watch.ts';
import { findQemu } from '../../src/provision/find-qemu.ts';
import { Region } from '../../src/vfio-user/device.ts';
import { VfioUserListener } from '../../src/vfio-user/listener.ts';
import { VfioUserServer } from '../../src/vfio-user/server.ts';
import { MemoryDevice, TemporaryFolder } from '../vfio-user/pair.ts';

/*
 * A real QEMU as the client, without an operating system: its monitor stands in for the guest's processor, as it can
 * write config space through the ports of the host bridge and read guest memory.
 */

const SLOT = 5;
const COMMAND = 4;
const BUS_MASTER = 0x6;
/** Guest memory that firmware leaves alone. */
const SCRATCH = 0x0120_0000;

const cleanup: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const one of cleanup.splice(0).reverse()) await one();
});

/** Config space that QEMU accepts: one 32-bit memory BAR of 4 KiB, INTA. */
function device(): MemoryDevice {
  const made = new MemoryDevice({ 0: 4096, [Region.CONFIG]: 256 }, [1, 0, 0, 1, 1]);
  const config = made.bytes[Region.CONFIG]!;
  config.writeUInt16LE(0x1234, 0);
  config.writeUInt16LE(0xf001, 2);
  config.writeUInt8(0xff, 11);
  config.writeUInt8(1, 0x3d);
  return made;
}

/** A machine with the device in it. */
class Machine {
  readonly device = device();
  server!: VfioUserServer;
  readonly #qemu: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(qemu: ChildProcess) {
    this.#qemu = qemu;
    this.#answers = createInterface({ input: qemu.stdout! })[Symbol.asyncIterator]();
  }

  static async start(memory: readonly string[]): Promise<Machine> {
    const folder = new TemporaryFolder();
    cleanup.push(() => folder[Symbol.dispose]());
    const listener = VfioUserListener.listen(folder.file('s'));
    cleanup.push(() => listener.close());
    const { command, args } = await findQemu();
    const socket = { type: 'unix', path: listener.path };
    const qemu = spawn(
      command,
      [
        ...args,
        ...memory,
        ...['-m', '64', '-nodefaults', '-display', 'none', '-qmp', 'stdio'],
        ...[
          '-device',
          JSON.stringify({ driver: 'vfio-user-pci', id: 'dev0', addr: `${SLOT}`, socket }),
        ],
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const exit = once(qemu, 'exit');
    cleanup.push(async () => {
      qemu.kill('SIGKILL');
      await exit;
    });
    const machine = new Machine(qemu);
    const connected = new Promise<void>((resolve) => {
      const listening = watchReadable(listener.fd, () => {
        const fd = listener.accept();
        if (fd < 0) return;
        listening.close();
        machine.server = new VfioUserServer({ fd, device: () => machine.device });
        const serving = watchReadable(fd, () => {
          if (!machine.server.processReadable()) serving.close();
        });
        cleanup.push(() => {
          serving.close();
          machine.server.close();
        });
        resolve();
      });
    });
    await Promise.race([connected, exit.then(() => Promise.reject(new Error('QEMU ended')))]);
    await machine.#answers.next();
    await machine.#ask({ execute: 'qmp_capabilities' });
    return machine;
  }

  async #ask(request: unknown): Promise<string> {
    this.#qemu.stdin!.write(`${JSON.stringify(request)}\n`);
    for (;;) {
      const { value, done } = await this.#answers.next();
      if (done === true) throw new Error('QEMU ended');
      const answer = JSON.parse(value);
      if (answer.error !== undefined) throw new Error(answer.error.desc);
      if (answer.return !== undefined) return answer.return;
    }
  }

  monitor(line: string): Promise<string> {
    return this.#ask({
      execute: 'human-monitor-command',
      arguments: { 'command-line': line },
    });
  }

  /** Writes a word of the device's config space as the guest would. */
  async writeConfig(offset: number, value: number): Promise<void> {
    await this.monitor(`o /4 0xcf8 ${0x8000_0000 + SLOT * 0x800 + offset}`);
    await this.monitor(`o /2 0xcfc ${value}`);
  }

  async reset(): Promise<void> {
    await this.#ask({ execute: 'system_reset' });
  }

  /** 32 bits of guest memory as QEMU sees them. */
  async word(gpa: number): Promise<number> {
    const text = await this.monitor(`xp /1wx ${gpa}`);
    return Number(text.trim().split(' ').at(-1));
  }

  async quit(): Promise<void> {
    this.#qemu.stdin!.write(`${JSON.stringify({ execute: 'quit' })}\n`);
    await once(this.#qemu, 'exit');
  }
}

const SHARED = [
  '-machine',
  'q35,accel=tcg,memory-backend=ram0',
  '-object',
  'memory-backend-memfd,id=ram0,size=64M,share=on',
];
const PRIVATE = ['-machine', 'q35,accel=tcg'];
/** Firmware does not run, so that it does not program the device meanwhile. */
const HALTED = ['-S'];

test('shared guest memory is there in place, whether the bus master bit is set or not', async () => {
  const machine = await Machine.start([...SHARED, ...HALTED]);
  const { memory } = machine.server;
  using aperture = memory.aperture(SCRATCH, 8);
  aperture!.bytes.writeUInt32LE(0x1234_5678);
  expect(await machine.word(SCRATCH)).toBe(0x1234_5678);
  expect(memory.write(SCRATCH + 4, Buffer.from([1, 2, 3, 4]))).toBe(true);
  expect(await machine.word(SCRATCH + 4)).toBe(0x0403_0201);
  expect(memory.read(64 << 20, Buffer.alloc(1))).toBe(false);
});

test('private guest memory is reached by messages, once the guest sets the bus master bit', async () => {
  const machine = await Machine.start([...PRIVATE, ...HALTED]);
  const { memory } = machine.server;
  await machine.writeConfig(COMMAND, 0);
  expect(memory.aperture(SCRATCH, 8)).toBeUndefined();
  expect(memory.write(SCRATCH, Buffer.alloc(4))).toBe(false);
  expect(memory.read(SCRATCH, Buffer.alloc(4))).toBe(false);

  await machine.writeConfig(COMMAND, BUS_MASTER);
  const data = Buffer.alloc(300 << 10, 0x5a);
  data.writeUInt32LE(0xcafe_f00d);
  expect(memory.write(SCRATCH, data)).toBe(true);
  expect(await machine.word(SCRATCH)).toBe(0xcafe_f00d);
  expect(await machine.word(SCRATCH + data.length - 4)).toBe(0x5a5a_5a5a);
  const back = Buffer.alloc(data.length);
  expect(memory.read(SCRATCH, back)).toBe(true);
  expect(back.equals(data)).toBe(true);
});

test('resets of the machine keep one mapping of its memory, and its end gives everything back', async () => {
  const machine = await Machine.start(SHARED);
  const { state } = machine.server;
  machine.device.takeLog();
  const owned = state.ownedFds().length;
  for (let round = 0; round < 5; round++) {
    await machine.reset();
    await machine.monitor('info status');
  }
  const resets = machine.device.takeLog().filter((line) => line === 'reset').length;
  expect(resets).toBeGreaterThanOrEqual(5);
  expect(state.mappingCount).toBe(1);
  expect(state.ownedFds().length).toBeLessThanOrEqual(owned + 1);
  const ended = new Promise<void>((resolve) => {
    const { disconnected } = machine.device;
    machine.device.disconnected = (reason) => {
      disconnected.call(machine.device, reason);
      resolve();
    };
  });
  await machine.quit();
  await ended;
  expect(machine.device.ended).toEqual({ type: 'closed' });
  expect(state.ownedFds()).toEqual([]);
  expect(readFileSync('/proc/self/maps', 'utf8')).not.toContain('memory-backend-memfd');
});
