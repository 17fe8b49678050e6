import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ComputeSystem, DeviceHost } from 'hdvkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import { type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';

const device = (name: string): URL => new URL(`../../devices/${name}/index.ts`, import.meta.url);

/** Bytes that go each way through the serial port; a byte that the guest receives is two reads of registers. */
const FILE_LENGTH = process.env.HDVKIT_LONG === '1' ? 64 * 1024 : 8 * 1024;

let host: LinuxTestHost;
let system: ComputeSystem;
let devices: DeviceHost;
let agent: GuestAgent;
let folder: string;

/** One guest with all three devices on workers: the kernel and the tools are the distribution's, as they are. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sd-'));
  host = await openLinuxHost({ modules: ['virtio_pci', 'virtio-rng', 'gpio-pci-idio-16'] });
  system = await ComputeSystem.create('hdvkit-stock-drivers', host.document(), {
    core: host.binding.computeCore,
  });
  devices = await DeviceHost.create(system, { binding: host.binding.hdv });
  await devices.attach(device('virtio-rng'));
  await devices.attach(device('serial-16550'), { configuration: [`socket=${folder}/serial`] });
  await devices.attach(device('gpio-idio-16'), { configuration: [`socket=${folder}/gpio`] });
  await system.start();
  agent = await host.agent();
});

afterAll(async () => {
  await devices?.[Symbol.asyncDispose]();
  await system?.[Symbol.asyncDispose]();
  await host?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

/** Runs a command in the guest and gives its output, without the last line end. */
async function sh(command: string): Promise<string> {
  const { exitCode, stdout, stderr } = await agent.run(command);
  expect({ command, exitCode, stderr }).toEqual({ command, exitCode: 0, stderr: '' });
  return stdout.trimEnd();
}

/** Runs a command and calls `told` with all of its output so far, each time there is more. */
async function follow(command: string, told: (output: string) => void): Promise<string> {
  let output = '';
  const { exitCode } = await agent.run(command, {
    output: (_stream, chunk) => {
      output += chunk.toString();
      told(output);
    },
  });
  expect({ output, exitCode }).toEqual({ output, exitCode: 0 });
  return output;
}

/** Interrupts of the lines of /proc/interrupts that match, on all processors together. */
async function interrupts(name: RegExp): Promise<number> {
  const lines = (await sh('cat /proc/interrupts')).split('\n').filter((line) => name.test(line));
  expect(lines).not.toEqual([]);
  const counts = lines.flatMap(
    (line) => /:((?:\s+\d+)+)/.exec(line)?.[1]?.trim().split(/\s+/) ?? [],
  );
  return counts.reduce((sum, count) => sum + Number(count), 0);
}

async function addressOf(vendorId: number, deviceId: number): Promise<string> {
  const [address] = await agent.find(vendorId, deviceId);
  expect(address).toBeDefined();
  return address!;
}

/** The driver that the guest's kernel bound to a function. */
async function driverOf(address: string): Promise<string> {
  return sh(`basename $(readlink /sys/bus/pci/devices/${address}/driver)`);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function peerOf(name: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(`${folder}/${name}`, () => resolve(socket));
    socket.once('error', reject);
  });
}

describe('virtio-rng', () => {
  const LENGTH = 32 * 1024;

  async function read(): Promise<Buffer> {
    const text = await sh(`head -c ${LENGTH} /dev/hwrng | base64`);
    return Buffer.from(text, 'base64');
  }

  test('is bound by virtio-pci, and is what /dev/hwrng reads', async () => {
    expect(await driverOf(await addressOf(0x1af4, 0x1044))).toBe('virtio-pci');
    expect(await sh('cat /sys/class/misc/hw_random/rng_current')).toBe('virtio_rng.0');
  });

  test('gives /dev/hwrng random bytes, with an interrupt of its queue for each request', async () => {
    const before = await interrupts(/virtio\d+-input/);
    const [first, second] = [await read(), await read()];
    expect([first.length, second.length]).toEqual([LENGTH, LENGTH]);
    expect(first.equals(second)).toBe(false);
    // Each value of a byte comes 256 times in 64 KiB, give or take 16: six times that does not happen.
    const counts = new Array<number>(256).fill(0);
    for (const byte of Buffer.concat([first, second])) counts[byte]! += 1;
    expect(Math.min(...counts)).toBeGreaterThan(256 - 6 * 16);
    expect(Math.max(...counts)).toBeLessThan(256 + 6 * 16);
    expect(await interrupts(/virtio\d+-input/)).toBeGreaterThan(before);
  });
});

describe('serial-16550', () => {
  let tty: string;
  let peer: Socket;

  beforeAll(async () => {
    const address = await addressOf(0x15b8, 0x7010);
    expect(await driverOf(address)).toBe('serial');
    tty = await sh(`ls /sys/bus/pci/devices/${address}/tty`);
    peer = await peerOf('serial');
  });

  afterAll(() => peer?.destroy());

  /** What the driver says about the port. */
  async function status(): Promise<string> {
    return sh(`grep '^${tty.replace('ttyS', '')}:' /proc/tty/driver/serial`);
  }

  const open = 'stty raw -echo 115200 crtscts <&3 && echo ready';

  test('is a 16550A in memory for 8250_pci', async () => {
    expect(await status()).toMatch(/uart:16550A mmio:0x[0-9A-F]+ irq:[1-9]/);
  });

  test('carries a file from the host into the guest', async () => {
    const file = randomBytes(FILE_LENGTH);
    let isSent = false;
    const command = `exec 3<>/dev/${tty} && ${open} && head -c ${FILE_LENGTH} <&3 | sha256sum`;
    const output = await follow(command, (text) => {
      if (!isSent && text.includes('ready')) {
        isSent = true;
        peer.write(file);
      }
    });
    expect(output).toContain(sha256(file));
    expect(await status()).toMatch(new RegExp(`rx:${FILE_LENGTH}\\b`));
  });

  test('carries a file from the guest to the host', async () => {
    const chunks: Buffer[] = [];
    let length = 0;
    const complete = new Promise<void>((resolve) => {
      peer.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length >= FILE_LENGTH) resolve();
      });
    });
    const make = `head -c ${FILE_LENGTH} /dev/urandom >/tmp/file`;
    const send = `exec 3<>/dev/${tty} && ${open} && cat /tmp/file >&3`;
    // Setting a terminal's modes waits for its output, which is lost when its session ends before.
    await sh(`${make} && ${send} && stty raw <&3`);
    await complete;
    const sum = await sh('sha256sum </tmp/file');
    expect(sum).toContain(sha256(Buffer.concat(chunks)));
    expect(await status()).toMatch(new RegExp(`tx:${FILE_LENGTH}\\b`));
  });

  test('interrupts by its line, and loses nothing', async () => {
    const line = /irq:(\d+)/.exec(await status())?.[1];
    expect(await interrupts(new RegExp(`^ *${line}:`))).toBeGreaterThan(0);
    expect(await status()).not.toMatch(/oe:|fe:|pe:|brk:/);
  });

  test('shows carrier while a program on the host is connected', async () => {
    expect(await status()).toMatch(/\bCTS\|DSR\|CD$/);
  });
});

describe('gpio-idio-16', () => {
  let chip: string;
  let peer: Socket;
  let told = '';

  beforeAll(async () => {
    const address = await addressOf(0x494f, 0x0dc8);
    expect(await driverOf(address)).toBe('pci-idio-16');
    chip = (await sh(`gpiodetect | grep ${address}`)).split(' ')[0]!;
    peer = await peerOf('gpio');
    peer.on('data', (bytes) => {
      told += bytes.toString();
      peer.emit('told');
    });
  });

  afterAll(() => peer?.destroy());

  async function waitForLine(line: string): Promise<void> {
    while (!told.includes(`${line}\n`)) {
      await new Promise<void>((resolve) => peer.once('told', resolve));
    }
  }

  test('is a chip of 32 lines, 16 of them outputs', async () => {
    expect(await sh(`gpiodetect | grep ${chip}`)).toMatch(/\(32 lines\)/);
    const lines = await sh(`gpioinfo ${chip}`);
    expect(lines.match(/\boutput\b/g)).toHaveLength(16);
    expect(lines.match(/\binput\b/g)).toHaveLength(16);
  });

  test('drives an output that gpioset sets, and keeps it', async () => {
    await sh(`gpioset ${chip} 3=1 15=1`);
    await waitForLine('out 0x8008');
    await sh(`gpioset ${chip} 15=0`);
    await waitForLine('out 0x0008');
    expect(await sh(`gpioget ${chip} 3`)).toBe('1');
  });

  test('shows gpioget and gpiomon what the host does to an input', async () => {
    const before = await interrupts(/pci-idio-16|0000:/);
    // The kernel names a line's consumer before it enables the interrupt; the request's file comes after.
    const isWatched = "ls -l /proc/$!/fd | grep -q 'anon_inode:gpio-'";
    const ready = `until ${isWatched} || ! kill -0 $!; do usleep 50000; done; echo ready`;
    const monitor = `gpiomon -b -n 2 -F 'event %e of %o' ${chip} 20`;
    const steps = ['ready', 'event 1 of 20'];
    const levels = ['in 0x0010', 'in 0x0000'];
    const output = await follow(`${monitor} & ${ready}; wait $!`, (text) => {
      while (steps.length > 0 && text.includes(steps[0]!)) {
        steps.shift();
        peer.write(`${levels.shift()}\n`);
      }
    });
    expect(output.match(/event . of 20/g)).toEqual(['event 1 of 20', 'event 0 of 20']);
    expect(await interrupts(/pci-idio-16|0000:/)).toBeGreaterThanOrEqual(before + 2);

    // What is not understood is answered, after what came before it.
    peer.write('in 0x8001\nthat is set\n');
    await waitForLine("error: say 'in 0x0000', not 'that is set'");
    expect(await sh(`gpioget ${chip} 16 17 31`)).toBe('1 0 1');
  });
});
