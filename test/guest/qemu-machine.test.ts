import { randomUUID } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EngineExit, EngineSystem } from '../../src/compute/engine.ts';
import { QemuEngine } from '../../src/engines/qemu/engine.ts';
import type { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import { LinuxGuest, SHARE_MOUNT_POINT } from '../../src/engines/qemu/linux-guest.ts';
import { KernelModules } from '../../src/provision/kernel-modules.ts';
import { findGuest } from '../../src/provision/provision-guest.ts';
import { createGranted } from './create-granted.ts';

let folder: string;
let guest: LinuxGuest;
let machine: EngineSystem;
let agent: GuestAgent;
let printed = '';
let ended: Promise<EngineExit>;
const notices: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvt-'));
  const files = findGuest();
  const kernel = new KernelModules(files);
  const [path = ''] = kernel.order(['dummy']);
  const module = join(folder, 'mine.ko');
  copyFileSync(join(files.root, 'lib/modules', files.kernelRelease, path), module);
  writeFileSync(join(folder, 'from-host'), 'hello');
  writeFileSync(join(folder, 'disk.img'), Buffer.alloc(1024 * 1024, 'D'));
  guest = await LinuxGuest.prepare({
    memory: 256,
    shell: true,
    share: folder,
    disks: [join(folder, 'disk.img')],
    extraModules: [`${module} numdummies=2`],
    files: { '/etc/mine': join(folder, 'from-host') },
    commands: ['echo ran > /run/commands'],
    drive: [{ vendorId: 0x494f, deviceId: 0x0dc8, classCode: 0 }],
  });
  let settle: (exit: EngineExit) => void = () => {};
  ended = new Promise((resolve) => {
    settle = resolve;
  });
  const engine = new QemuEngine();
  const runtimeId = randomUUID();
  machine = await createGranted(engine, {
    id: 'hdvkit-machine',
    runtimeId,
    document: guest.document as Readonly<Record<string, unknown>>,
    exited: settle,
    notify: ({ type }) => notices.push(type),
  });
  const ready = guest.connectAgent();
  const terminal = connect(guest.consolePath);
  terminal.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  await machine.start([]);
  agent = await ready;
  terminal.write('stty -echo; echo shell says $((6 * 7))\n');
});

afterAll(async () => {
  await machine?.terminate();
  await agent?.[Symbol.asyncDispose]();
  guest?.[Symbol.dispose]();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

describe('the test guest', () => {
  test('runs the distribution’s kernel', async () => {
    const { stdout } = await agent.run('uname -r');
    expect(stdout.trim()).toBe(findGuest().kernelRelease);
  });

  test('passes on output and exit code of a command', async () => {
    expect(await agent.run('echo out; echo err >&2; exit 42')).toEqual({
      exitCode: 42,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect((await agent.run('kill -9 $$')).exitCode).toBe(137);
  });

  test('kills a command that is given up', async () => {
    const abort = new AbortController();
    const running = agent.run('echo started; sleep 1000', {
      signal: abort.signal,
      output: () => abort.abort(new Error('enough')),
    });
    await expect(running).rejects.toThrow('enough');
    // It is killed with its shell, whose end is told.
    await expect.poll(async () => (await agent.run('pidof sleep')).stdout).toBe('');
  });

  test('has a shell on its console', async () => {
    await expect.poll(() => printed, { timeout: 60_000 }).toContain('shell says 42');
  });

  test('knows the size of the user’s terminal', async () => {
    await agent.setTerminalSize(33, 99);
    expect((await agent.run('stty size </dev/ttyS0')).stdout.trim()).toBe('33 99');
  });

  test('has the shared folder, both ways', async () => {
    const { stdout } = await agent.run(
      `cat ${SHARE_MOUNT_POINT}/from-host; echo back > ${SHARE_MOUNT_POINT}/from-guest`,
    );
    expect(stdout).toBe('hello');
    expect(readFileSync(join(folder, 'from-guest'), 'utf8')).toBe('back\n');
  });

  test('has the user’s files, module with its parameters, and disk', async () => {
    const { stdout } = await agent.run(
      'cat /etc/mine; ls /sys/class/net | grep -c dummy; head -c 3 /dev/sda; cat /run/commands',
    );
    expect(stdout).toBe('hello2\nDDDran\n');
  });

  test('has loaded the drivers of functions that were announced', async () => {
    expect((await agent.run('lsmod')).stdout).toMatch(/^gpio_pci_idio_16 /m);
  });

  test('has the gpiod tools and lspci', async () => {
    const { exitCode, stdout } = await agent.run('gpiodetect && lspci -n -s 00:00.0');
    expect(exitCode).toBe(0);
    expect(stdout).toContain('8086:29c0');
  });

  test('gives memory that stays where it is and is reached by its guest-physical address', async () => {
    const gpa = await agent.allocate(3 * 1024 * 1024);
    expect(gpa % 4096).toBe(0);
    const bytes = Buffer.from(Array.from({ length: 10_000 }, (_, i) => i & 0xff));
    const at = gpa + 2 * 1024 * 1024 - 5000;
    await agent.writeMemory(at, bytes);
    expect((await agent.readMemory(at, bytes.length)).equals(bytes)).toBe(true);
    await expect(agent.readMemory(gpa - 4096, 4)).rejects.toThrow(/not allocated/);
  });
});

describe('the machine', () => {
  test('pauses and goes on', async () => {
    await machine.pause();
    await expect(machine.removeDevice('none')).rejects.toThrow(/the machine is paused/);
    await machine.resume();
    expect((await agent.run('true')).exitCode).toBe(0);
  });

  test('tells what it has used', async () => {
    const { Statistics } = (await machine.properties(['Statistics'])) as {
      Statistics: { Processor: { TotalRuntime100ns: number } };
    };
    expect(Statistics.Processor.TotalRuntime100ns).toBeGreaterThan(0);
  });

  test('shuts down when asked to, and leaves no socket', async () => {
    await machine.shutDown({ type: 'Shutdown', reason: undefined });
    expect(await ended).toEqual({ exitType: 'GracefulExit', status: 0 });
    expect(existsSync(guest.consolePath)).toBe(false);
    expect(existsSync(guest.agentPath)).toBe(false);
    expect(notices).toEqual([]);
  });
});
