import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { planMachine } from '../../../src/engines/qemu/document.ts';
import type { HcsError } from '../../../src/hcs/hcs-error.ts';
import { tinyKernel } from '../../guest/tiny-kernel.ts';

const DIRECT = '$.VirtualMachine.Chipset.LinuxKernelDirect';
const BOOT_THIS = '$.VirtualMachine.Chipset.Uefi.BootThis';
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvk-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(content: Uint8Array | string): string {
  const path = join(folder, 'kernel');
  writeFileSync(path, content);
  return path;
}

function refusalOf(chipset: object): HcsError | undefined {
  try {
    planMachine({ VirtualMachine: { Chipset: chipset } });
    return undefined;
  } catch (error) {
    return error as HcsError;
  }
}

const direct = (kernel: string, KernelCmdLine = '', uefi = false): HcsError | undefined =>
  refusalOf({
    LinuxKernelDirect: { KernelFilePath: kernel, KernelCmdLine },
    ...(uefi ? { Uefi: {} } : {}),
  });

/** A kernel that says how long a command line it takes. */
function kernelWithLineSize(size: number): Buffer {
  const image = tinyKernel();
  image.writeUInt16LE(0x0206, 0x206);
  image.writeUInt32LE(size, 0x238);
  return image;
}

/** Begins as a kernel of another kind does. */
function multiboot(at: number, checksum = 2 ** 32 - 0x1bad_b002): Buffer {
  const image = Buffer.alloc(16_384);
  image.writeUInt32LE(0x1bad_b002, at);
  image.writeUInt32LE(checksum, at + 8);
  return image;
}

describe('a kernel', () => {
  test.each([
    ['a bzImage', () => tinyKernel()],
    ['an ELF file, whose entry QEMU looks for', () => '\x7fELF'],
    ['one for multiboot', () => multiboot(4096)],
  ])('may be %s', (_what, content) => {
    expect(direct(file(content()))).toBeUndefined();
  });

  test.each([
    ['empty', ''],
    ['a text', 'vmlinuz\n'.repeat(2000)],
    ['packed by gzip', Buffer.from([0x1f, 0x8b, 8, 0])],
    ['for multiboot, with a wrong checksum', multiboot(4096, 1)],
    ['for multiboot, with its header too late', multiboot(8192)],
    ['a program for UEFI, which is not there', 'MZ'],
  ])('is refused that is %s', (_what, content) => {
    const path = file(content);
    const error = direct(path);
    expect([error?.code, error?.path]).toEqual(['ERROR_INVALID_DATA', `${DIRECT}.KernelFilePath`]);
    expect(error?.reason).toContain(
      `is "${path}", which is no kernel that QEMU boots: use a bzImage`,
    );
  });

  test('may be any program for UEFI where that boots it', () => {
    expect(direct(file('MZ'), '', true)).toBeUndefined();
    expect(direct(file('#!'), '', true)?.path).toBe(`${DIRECT}.KernelFilePath`);
    file('#!');
    const BootThis = { DeviceType: 'VmbFs', VmbFsRootPath: folder, DevicePath: '\\kernel' };
    expect(refusalOf({ Uefi: { BootThis } })?.path).toBe(`${BOOT_THIS}.DevicePath`);
    file('MZ');
    expect(refusalOf({ Uefi: { BootThis } })).toBeUndefined();
  });
});

describe('a command line', () => {
  const limit = (content: Uint8Array | string, most: number): void => {
    const path = file(content);
    expect(direct(path, 'x'.repeat(most))).toBeUndefined();
    const error = direct(path, 'x'.repeat(most + 1));
    expect([error?.code, error?.path]).toEqual(['E_INVALIDARG', `${DIRECT}.KernelCmdLine`]);
    expect(error?.reason).toContain(
      `has ${most + 1} bytes: the kernel "${path}" takes at most ${most}; put what is longer`,
    );
  };

  test('is no longer than the kernel says, in bytes', () => {
    limit(kernelWithLineSize(2047), 2047);
    limit(kernelWithLineSize(100), 100);
    expect(direct(file(kernelWithLineSize(100)), 'ä'.repeat(51))?.reason).toContain(
      'has 102 bytes',
    );
  });

  test('is no longer than Linux has it, where the kernel does not say', () => {
    limit(tinyKernel(), 2047);
    limit('\x7fELF', 2047);
  });

  test('is no longer than an argument of a program may be', () => {
    limit(multiboot(0), 128 * 1024 - 1);
    limit(kernelWithLineSize(2 ** 20), 128 * 1024 - 1);
  });

  test('is named where the firmware is to start the kernel', () => {
    file(kernelWithLineSize(100));
    const OptionalData = 'x'.repeat(101);
    const BootThis = { DeviceType: 'VmbFs', VmbFsRootPath: folder, DevicePath: 'kernel' };
    const error = refusalOf({ Uefi: { BootThis: { ...BootThis, OptionalData } } });
    expect([error?.code, error?.path]).toEqual(['E_INVALIDARG', `${BOOT_THIS}.OptionalData`]);
  });
});
