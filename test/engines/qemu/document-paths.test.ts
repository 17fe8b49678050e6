import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { planMachine } from '../../../src/engines/qemu/document.ts';
import type { HcsError } from '../../../src/hcs/hcs-error.ts';
import type { VirtualMachine } from '../../../src/hcs/schema/documents.ts';
import { tinyKernel } from '../../guest/tiny-kernel.ts';

let folder: string;
let kernel: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvk-'));
  kernel = join(folder, 'kernel');
  writeFileSync(kernel, tinyKernel());
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function refusalOf(machine: VirtualMachine): HcsError | undefined {
  try {
    planMachine({
      VirtualMachine: { Chipset: { LinuxKernelDirect: { KernelFilePath: kernel } }, ...machine },
    });
    return undefined;
  } catch (error) {
    return error as HcsError;
  }
}

const bootThis = (VmbFsRootPath: string): VirtualMachine => ({
  Chipset: { Uefi: { BootThis: { DeviceType: 'VmbFs', VmbFsRootPath, DevicePath: 'kernel' } } },
});

describe('a path that is not absolute', () => {
  test.each<[string, VirtualMachine]>([
    [
      '$.VirtualMachine.Chipset.LinuxKernelDirect.KernelFilePath',
      { Chipset: { LinuxKernelDirect: { KernelFilePath: 'vm/it' } } },
    ],
    ['$.VirtualMachine.Chipset.Uefi.BootThis.VmbFsRootPath', bootThis('vm/it')],
    [
      '$.VirtualMachine.RestoreState.SaveStateFilePath',
      { RestoreState: { SaveStateFilePath: 'vm/it' } },
    ],
    [
      '$.VirtualMachine.GuestState.GuestStateFilePath',
      { Chipset: { Uefi: {} }, GuestState: { GuestStateFilePath: 'vm/it' } },
    ],
    [
      '$.VirtualMachine.DebugOptions.BugcheckSavedStateFileName',
      { DebugOptions: { BugcheckSavedStateFileName: 'vm/it' } },
    ],
    [
      '$.VirtualMachine.Devices.Scsi["a"].Attachments["0"].Path',
      { Devices: { Scsi: { a: { Attachments: { 0: { Path: 'vm/it' } } } } } },
    ],
    [
      '$.VirtualMachine.Devices.VirtualPMem.Devices["0"].HostPath',
      { Devices: { VirtualPMem: { Devices: { 0: { HostPath: 'vm/it' } } } } },
    ],
    [
      '$.VirtualMachine.Devices.Plan9.Shares[0].Path',
      { Devices: { Plan9: { Shares: [{ Name: 'a', Path: 'vm/it' }] } } },
    ],
    [
      '$.VirtualMachine.Devices.ComPorts["0"].NamedPipe',
      { Devices: { ComPorts: { 0: { NamedPipe: 'vm/it' } } } },
    ],
  ])('is refused: %s', (path, machine) => {
    const error = refusalOf(machine);
    expect([error?.code, error?.path]).toEqual(['E_INVALIDARG', path]);
    expect(error?.reason).toMatch(/ is "vm\/it": .*absolute path/);
  });

  test('is refused as an initrd', () => {
    const error = refusalOf({
      Chipset: { LinuxKernelDirect: { KernelFilePath: kernel, InitRdPath: 'initrd.img' } },
    });
    expect([error?.code, error?.path]).toEqual([
      'E_INVALIDARG',
      '$.VirtualMachine.Chipset.LinuxKernelDirect.InitRdPath',
    ]);
  });
});

describe('a socket', () => {
  test('in a folder that is not there is refused', () => {
    const NamedPipe = join(folder, 'none', 'com1');
    for (const [path, Devices] of [
      ['ComPorts["1"].NamedPipe', { ComPorts: { 1: { NamedPipe } } }],
      ['VirtioSerial.Ports["3"].NamedPipe', { VirtioSerial: { Ports: { 3: { NamedPipe } } } }],
      [
        'VideoMonitor.ConnectionOptions.NamedPipe',
        { VideoMonitor: { ConnectionOptions: { NamedPipe } } },
      ],
    ] as const) {
      const error = refusalOf({ Devices });
      expect([error?.code, error?.path]).toEqual([
        'ERROR_PATH_NOT_FOUND',
        `$.VirtualMachine.Devices.${path}`,
      ]);
      expect(error?.reason).toContain(
        `is "${NamedPipe}": make the folder ${join(folder, 'none')} first`,
      );
    }
  });

  test('has a name that a guest can have for a file', () => {
    const NamedPipe = join(folder, 'port');
    const named = (Name: string): HcsError | undefined =>
      refusalOf({ Devices: { VirtioSerial: { Ports: { 0: { Name, NamedPipe } } } } });
    expect(named('n'.repeat(255))).toBeUndefined();
    for (const length of [0, 256, 200_000]) {
      const error = named('n'.repeat(length));
      expect([error?.code, error?.path]).toEqual([
        'E_INVALIDARG',
        '$.VirtualMachine.Devices.VirtioSerial.Ports["0"].Name',
      ]);
      expect(error?.reason).toContain(`has ${length} bytes: use 1 to 255`);
    }
  });

  test('is for one port only', () => {
    const NamedPipe = join(folder, 'both');
    const error = refusalOf({
      Devices: {
        ComPorts: { 0: { NamedPipe } },
        VirtioSerial: { Ports: { 3: { NamedPipe } } },
      },
    });
    expect([error?.code, error?.path]).toEqual([
      'E_INVALIDARG',
      '$.VirtualMachine.Devices.VirtioSerial.Ports["3"].NamedPipe',
    ]);
    expect(error?.reason).toContain('as $.VirtualMachine.Devices.ComPorts["0"].NamedPipe is');
  });
});
