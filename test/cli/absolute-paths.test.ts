import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { withAbsolutePaths } from '../../src/cli/documents/absolute-paths.ts';

const FOLDER = resolve('/vm');

test('names of files begin at the folder of who wrote the document, wherever they stand', () => {
  const document = {
    VirtualMachine: {
      Chipset: {
        LinuxKernelDirect: { KernelFilePath: 'vmlinuz', KernelCmdLine: 'a/b' },
        Uefi: { BootThis: { VmbFsRootPath: '.', DevicePath: 'vmlinuz' } },
      },
      RestoreState: { SaveStateFilePath: '../saved.vmrs' },
      Devices: {
        ComPorts: { 0: { NamedPipe: 'com1' }, 1: { NamedPipe: '' } },
        Plan9: { Shares: [{ Name: 'src', Path: 'src' }] },
      },
    },
  };
  expect(withAbsolutePaths(document, FOLDER)).toEqual({
    VirtualMachine: {
      Chipset: {
        LinuxKernelDirect: { KernelFilePath: resolve(FOLDER, 'vmlinuz'), KernelCmdLine: 'a/b' },
        Uefi: { BootThis: { VmbFsRootPath: FOLDER, DevicePath: 'vmlinuz' } },
      },
      RestoreState: { SaveStateFilePath: resolve('/saved.vmrs') },
      Devices: {
        ComPorts: { 0: { NamedPipe: resolve(FOLDER, 'com1') }, 1: { NamedPipe: '' } },
        Plan9: { Shares: [{ Name: 'src', Path: resolve(FOLDER, 'src') }] },
      },
    },
  });
});

test.each(['/vm/disk', '\\\\.\\pipe\\com1', 'C:\\vm\\disk.vhdx', 'c:/vm/disk.vhdx', ''])(
  'the path %j stays as it is',
  (Path) => {
    expect(withAbsolutePaths({ Path }, FOLDER)).toEqual({ Path });
  },
);
