import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { chooseAccelerator } from '../../../src/engines/qemu/accelerator.ts';
import { planMachine } from '../../../src/engines/qemu/document.ts';
import { LinuxGuest } from '../../../src/engines/qemu/linux-guest.ts';
import type { QemuProgram } from '../../../src/provision/find-qemu.ts';
import { tinyKernel } from '../../guest/tiny-kernel.ts';

const { XDG_RUNTIME_DIR } = process.env;
let folder: string;
let kernel: string;
let initrd: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvy-'));
  process.env.XDG_RUNTIME_DIR = folder;
  kernel = join(folder, 'vmlinuz');
  initrd = join(folder, 'initrd');
  writeFileSync(kernel, tinyKernel());
  writeFileSync(initrd, '');
});

afterEach(() => {
  if (XDG_RUNTIME_DIR === undefined) delete process.env.XDG_RUNTIME_DIR;
  else process.env.XDG_RUNTIME_DIR = XDG_RUNTIME_DIR;
  rmSync(folder, { recursive: true, force: true });
});

describe('the test guest', () => {
  test('is a document that the engine takes, with a console and an agent', async () => {
    const disk = join(folder, 'disk.img');
    writeFileSync(disk, 'data');
    using guest = await LinuxGuest.prepare({
      kernel,
      initrd,
      memory: 1024,
      processors: 2,
      share: folder,
      disks: [disk],
      kernelArguments: 'debug',
    });
    const plan = planMachine(guest.document as Readonly<Record<string, unknown>>);
    expect(plan).toMatchObject({
      kernel,
      initrd,
      memoryMB: 1024,
      processors: 2,
      comPorts: [guest.consolePath, guest.agentPath],
      shares: [{ kind: 'Plan9', tag: 'share', path: folder, readOnly: false }],
      disks: [{ lun: 0, path: disk, format: 'raw' }],
    });
    expect(plan.commandLine).toMatch(/^console=ttyS0 .* debug$/);
  });

  test('leaves no folder behind', async () => {
    const guest = await LinuxGuest.prepare({ kernel, initrd });
    expect(readdirSync(folder)).toHaveLength(3);
    guest[Symbol.dispose]();
    guest[Symbol.dispose]();
    expect(readdirSync(folder).sort()).toEqual(['initrd', 'vmlinuz']);
  });

  test.each([
    ['kernel', { kernel: '/nowhere/a' }],
    ['initrd', { initrd: '/nowhere/a' }],
    ['share', { share: '/nowhere/a' }],
    ['disk', { disks: ['/nowhere/a'] }],
    ['file', { files: { '/a': '/nowhere/a' } }],
  ])('is refused by name for a %s that is not there', async (option, options) => {
    await expect(LinuxGuest.prepare({ kernel, initrd, ...options })).rejects.toThrow(
      `Cannot use /nowhere/a as ${option}: there is no such`,
    );
    expect(readdirSync(folder).sort()).toEqual(['initrd', 'vmlinuz']);
  });

  test('is refused with the remedy when it is not provisioned', async () => {
    await expect(LinuxGuest.prepare({ cache: join(folder, 'cache') })).rejects.toThrow(
      'Cannot boot a Linux guest: there is no test guest in the cache; run "hdvkit provision"',
    );
  });
});

describe('the accelerator', () => {
  const qemu: QemuProgram = {
    command: '/bin/false',
    args: [],
    version: '11.1.3',
    source: 'explicit',
    hasSandbox: true,
  };

  test('is the one that is wanted', async () => {
    expect(await chooseAccelerator(qemu, 'kvm', folder)).toBe('kvm');
    expect(await chooseAccelerator(qemu, 'tcg', folder)).toBe('tcg');
  });

  test('is emulation where no test boot can show that the processor will do', async () => {
    expect(await chooseAccelerator(qemu, 'auto', folder)).toBe('tcg');
    expect(await chooseAccelerator(qemu, 'auto', folder)).toBe('tcg');
  });
});
