import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { windowsGuest } from '../../../src/cli/windows/guest-document.ts';
import { documentProblems } from '../../../src/hcs/schema/validate.ts';

describe('a machine of Hyper-V for a guest of the user', () => {
  test.each([
    ['nothing but firmware', {}],
    ['a kernel', { kernel: 'vmlinux', initrd: 'initrd.img', append: 'quiet' }],
    ['disks', { disk: ['root.vhdx', 'seed.ISO'], memory: 256, processors: 1 }],
  ])('has a valid document with %s', (_what, options) => {
    const { document } = windowsGuest({ configuration: [], ...options });
    expect(documentProblems('ComputeSystem', document)).toEqual([]);
  });

  test('boots a kernel by absolute paths, which the machine may read', () => {
    const { document, files } = windowsGuest({
      configuration: [],
      kernel: 'vmlinux',
      initrd: 'initrd.img',
      append: 'quiet',
    });
    expect(document.VirtualMachine?.Chipset?.LinuxKernelDirect).toEqual({
      KernelFilePath: resolve('vmlinux'),
      InitRdPath: resolve('initrd.img'),
      KernelCmdLine: 'console=ttyS0 panic=-1 quiet',
    });
    expect(files).toEqual([resolve('vmlinux'), resolve('initrd.img')]);
  });

  test('boots the first of its disks else', () => {
    const { document, files } = windowsGuest({ configuration: [], disk: ['a.vhdx', 'b.iso'] });
    const { Chipset, Devices } = document.VirtualMachine ?? {};
    expect(Chipset?.Uefi?.BootThis).toMatchObject({ DeviceType: 'ScsiDrive', DiskNumber: 0 });
    expect(Devices?.Scsi?.disks?.Attachments).toEqual({
      0: { Type: 'VirtualDisk', Path: resolve('a.vhdx') },
      1: { Type: 'Iso', Path: resolve('b.iso') },
    });
    expect(files).toHaveLength(2);
  });

  test('has a pipe of its own as its console', () => {
    const [first, second] = [
      windowsGuest({ configuration: [] }),
      windowsGuest({ configuration: [] }),
    ];
    expect(first.consolePath).toMatch(/^\\\\\.\\pipe\\hdvkit-/);
    expect(first.consolePath).not.toBe(second.consolePath);
    expect(first.document.VirtualMachine?.Devices?.ComPorts?.['0']?.NamedPipe).toBe(
      first.consolePath,
    );
  });
});
