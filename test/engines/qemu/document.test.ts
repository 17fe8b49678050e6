import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { planMachine } from '../../../src/engines/qemu/document.ts';
import { HcsError } from '../../../src/hcs/hcs-error.ts';
import { HRESULT } from '../../../src/hcs/hresult.ts';
import { tinyKernel } from '../../guest/tiny-kernel.ts';

let folder: string;
let kernel: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvk-'));
  kernel = join(folder, 'vmlinux');
  writeFileSync(kernel, tinyKernel());
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Fields = Readonly<Record<string, unknown>>;

function plan(machine: Fields = {}, boot: Fields = {}): ReturnType<typeof planMachine> {
  return planMachine({
    VirtualMachine: {
      Chipset: { LinuxKernelDirect: { KernelFilePath: kernel, ...boot } },
      ...machine,
    },
  });
}

function refusal(machine: Fields, boot: Fields = {}): HcsError {
  try {
    plan(machine, boot);
  } catch (error) {
    if (error instanceof HcsError) return error;
    throw error;
  }
  return expect.unreachable();
}

describe('a document', () => {
  test('that only names a kernel gives a small machine', () => {
    expect(plan()).toEqual({
      kernel,
      initrd: undefined,
      commandLine: '',
      uefi: false,
      secureBoot: undefined,
      bootFirst: undefined,
      hardware: {
        chipset: { isClockUtc: false, hibernates: false },
        processor: {
          hasVirtualization: false,
          hasSpeculationControls: true,
          flags: {},
          isStrict: false,
        },
        layout: { lowGapMB: 0, highGapMB: 0 },
        numa: { nodes: [] },
      },
      hosting: { isPinned: false, places: [undefined] },
      memoryMB: 512,
      processors: 1,
      stopOnReset: false,
      comPorts: [undefined, undefined],
      controllers: [],
      disks: [],
      storageLimits: undefined,
      adapters: [],
      persistentMemory: [],
      sharedMemory: [],
      serialPorts: [],
      console: { monitor: undefined, keyboard: false, mouse: false },
      processorLimits: undefined,
      guestState: undefined,
      tpm: undefined,
      isTransient: false,
      crashFiles: { dump: undefined, dumpLimit: undefined, savedState: undefined },
      shares: [],
    });
  });

  test('may leave it to firmware to find what to boot', () => {
    expect(plan({ Chipset: { Uefi: {} } })).toMatchObject({ uefi: true, kernel: undefined });
  });

  test('is read in every field that means something', () => {
    const disk = join(folder, 'data.qcow2');
    writeFileSync(disk, '');
    expect(
      plan(
        {
          StopOnReset: true,
          ComputeTopology: {
            Memory: { SizeInMB: 1024, AllowOvercommit: true },
            Processor: { Count: 2 },
          },
          Devices: {
            ComPorts: { '1': { NamedPipe: '/run/com2' }, '0': { NamedPipe: '' } },
            Scsi: {
              a: { Attachments: { '3': { Type: 'VirtualDisk', Path: disk, ReadOnly: true } } },
            },
            Plan9: { Shares: [{ Name: 'src', Path: folder, Flags: 1 }] },
            FlexibleIov: {},
          },
        },
        { InitRdPath: kernel, KernelCmdLine: 'console=ttyS0' },
      ),
    ).toMatchObject({
      initrd: kernel,
      commandLine: 'console=ttyS0',
      memoryMB: 1024,
      processors: 2,
      stopOnReset: true,
      comPorts: [undefined, '/run/com2'],
      disks: [{ controller: 0, lun: 3, path: disk, format: 'qcow2', readOnly: true, isIso: false }],
      shares: [{ kind: 'Plan9', tag: 'src', path: folder, readOnly: true }],
    });
  });
});

describe('a TPM', () => {
  const SecuritySettings = { EnableTpm: true };

  test('is kept beside the guest state', () => {
    const Chipset = { Uefi: {} };
    expect(plan({ Chipset, SecuritySettings }).tpm).toEqual({ state: undefined });
    const state = join(folder, 'state');
    writeFileSync(state, 'variables');
    const GuestState = { GuestStateFilePath: state };
    expect(plan({ Chipset, SecuritySettings, GuestState }).tpm).toEqual({ state: `${state}.tpm` });
  });

  test('comes with UEFI only', () => {
    const error = refusal({ SecuritySettings });
    expect(error.code).toBe('E_NOTIMPL');
    expect(error.message).toMatch(/SecuritySettings\.EnableTpm: .*; boot by Chipset\.Uefi/);
  });
});

describe('shares', () => {
  const at = (Devices: Fields) => ({ Devices });
  const share = (options: Fields) => ({ Name: 'data', Path: folder, ...options });

  test('of both kinds have names of their own', () => {
    const Plan9 = { Shares: [{ Name: 'data', Path: folder }] };
    const VirtualSmb = { Shares: [share({ Name: 'other', Options: { ReadOnly: true } })] };
    expect(plan(at({ Plan9, VirtualSmb })).shares).toEqual([
      { kind: 'Plan9', tag: 'data', path: folder, readOnly: false },
      { kind: 'VirtualSmb', tag: 'other', path: folder, readOnly: true },
    ]);
    const twice = refusal(at({ Plan9, VirtualSmb: { Shares: [share({})] } }));
    expect(twice.code).toBe('ERROR_ALREADY_EXISTS');
  });

  test('are folders', () => {
    const error = refusal(at({ VirtualSmb: { Shares: [share({ Path: kernel })] } }));
    expect([error.code, error.message]).toEqual([
      'ERROR_INVALID_DATA',
      expect.stringContaining('which is no folder'),
    ]);
    // It would be looked for in another folder by who serves it.
    const relative = refusal(at({ VirtualSmb: { Shares: [share({ Path: 'src' })] } }));
    expect(relative.message).toContain('.VirtualSmb.Shares[0].Path is "src": use an absolute path');
  });
});

describe('a field that cannot be honoured is named by its path', () => {
  test.each([
    [{ SecuritySettings: { Isolation: {} } }, '$.VirtualMachine.SecuritySettings.Isolation'],
    [
      { GuestState: { GuestStateFilePath: '/tmp/state' } },
      '$.VirtualMachine.GuestState.GuestStateFilePath',
    ],
    [
      { Chipset: { Uefi: { StopOnBootFailure: true } } },
      '$.VirtualMachine.Chipset.Uefi.StopOnBootFailure',
    ],
    [
      { ComputeTopology: { Processor: { Reservation: 50_000 } } },
      '$.VirtualMachine.ComputeTopology.Processor.Reservation',
    ],
    [{ Devices: { EnhancedModeVideo: {} } }, '$.VirtualMachine.Devices.EnhancedModeVideo'],
    [{ Devices: { Battery: {} } }, '$.VirtualMachine.Devices.Battery'],
    [
      { Devices: { Scsi: { a: { Attachments: { '0': { ExtensibleVirtualDiskType: 'x' } } } } } },
      '$.VirtualMachine.Devices.Scsi["a"].Attachments["0"].ExtensibleVirtualDiskType',
    ],
    [
      { Devices: { SharedMemory: { Regions: [{ SectionName: 'x', HiddenFromGuest: true }] } } },
      '$.VirtualMachine.Devices.SharedMemory.Regions[0].HiddenFromGuest',
    ],
    [
      { Devices: { VirtualPMem: { Devices: { '0': { ImageFormat: 'Vhdx' } } } } },
      '$.VirtualMachine.Devices.VirtualPMem.Devices["0"].ImageFormat',
    ],
    [{ Devices: { ComPorts: { '2': {} } } }, '$.VirtualMachine.Devices.ComPorts["2"]'],
  ])('%j', (machine, path) => {
    const error = refusal(machine);
    expect(error.hresult).toBe(HRESULT.E_NOTIMPL);
    expect(error.message).toContain(`Cannot honour ${path}: `);
  });
});

describe('a value that cannot be is named by its path', () => {
  test.each([
    [{ ComputeTopology: { Memory: { SizeInMB: 0 } } }, /Memory\.SizeInMB is 0: use a whole number/],
    [{ ComputeTopology: { Processor: { Count: 1.5 } } }, /Processor\.Count is 1\.5/],
    [
      { Devices: { ComPorts: { '0': { NamedPipe: '\\\\.\\pipe\\com' } } } },
      /ComPorts\["0"\]\.NamedPipe is ".*": on this host it is the absolute path of a unix socket/,
    ],
    [
      { Devices: { ComPorts: { '0': { NamedPipe: `/${'x'.repeat(107)}` } } } },
      /NamedPipe has 108 bytes: a socket's path has at most 107/,
    ],
    [
      { Devices: { Plan9: { Shares: [{ Name: 'a b', Path: '/' }] } } },
      /Shares\[0\]\.Name is "a b"/,
    ],
    [
      { Devices: { NetworkAdapters: { a: { MacAddress: '01-15-5D-00-00-01' } } } },
      /MacAddress is "01-15-5D-00-00-01": that is the address of a group/,
    ],
    [
      { Devices: { NetworkAdapters: { a: { MacAddress: '00155D000001' } } } },
      /MacAddress is "00155D000001": write six bytes in hexadecimal with dashes/,
    ],
    [
      { Devices: { SharedMemory: { Regions: [{ SectionName: 'Global\\a/b' }] } } },
      /Regions\[0\]\.SectionName is "Global\\a\/b": name a file in \/dev\/shm/,
    ],
    [
      { Devices: { VirtioSerial: { Ports: { '0': { NamedPipe: 'pipe' } } } } },
      /Ports\["0"\]\.NamedPipe is "pipe": on this host/,
    ],
    [
      { Devices: { Scsi: { a: { Attachments: { '64': { Path: '/dev/null' } } } } } },
      /Attachments\["64"\] \(the key\) is 64/,
    ],
  ])('%j', (machine, message) => {
    const error = refusal(machine);
    expect(error.hresult).toBe(HRESULT.E_INVALIDARG);
    expect(error.message).toMatch(message);
  });

  test('flags of a share that mean nothing over virtio', () => {
    const shares = (Flags: number) => ({ Plan9: { Shares: [{ Name: 'a', Path: '/', Flags }] } });
    const error = refusal({ Devices: shares(0x45) });
    expect(error.hresult).toBe(HRESULT.E_NOTIMPL);
    expect(error.message).toContain('Shares[0].Flags: the flags 0x40 are not for shares');
  });

  test('a file that is not there', () => {
    const error = refusal({}, { KernelFilePath: '/nowhere/vmlinuz' });
    expect(error.hresult).toBe(HRESULT.ERROR_FILE_NOT_FOUND);
    expect(error.message).toContain(
      '$.VirtualMachine.Chipset.LinuxKernelDirect.KernelFilePath is "/nowhere/vmlinuz": there is no such file',
    );
  });

  test.each(['/dev/zero', tmpdir()])('a kernel that is no regular file: %s', (path) => {
    const error = refusal({}, { KernelFilePath: path });
    expect(error.hresult).toBe(HRESULT.ERROR_INVALID_DATA);
    expect(error.message).toContain(`KernelFilePath is "${path}", which is no regular file`);
  });

  test('an adapter whose endpoint nobody has said anything about', () => {
    const EndpointId = '6a0c7c0e-1d2f-4f3a-9a55-0d3f5b0e1c11';
    const error = refusal({ Devices: { NetworkAdapters: { a: { EndpointId } } } });
    expect(error.hresult).toBe(HRESULT.ERROR_NOT_FOUND);
    expect(error.message).toContain(`say what it is by the engine's option networkEndpoints`);
  });

  test('an image that is a folder, empty, or of persistent memory of odd length', () => {
    const image = join(folder, 'image');
    writeFileSync(image, '');
    const scsi = (Path: string) => ({ Scsi: { a: { Attachments: { '0': { Path } } } } });
    expect(refusal({ Devices: scsi(folder) }).message).toContain('that is a folder; name a file');
    expect(refusal({ Devices: scsi(image) }).message).toContain('the file is empty');
    writeFileSync(image, 'short');
    const VirtualPMem = { Devices: { '0': { HostPath: image } } };
    const error = refusal({ Devices: { VirtualPMem } });
    expect(error.hresult).toBe(HRESULT.ERROR_INVALID_DATA);
    expect(error.message).toContain('truncate -s %2M');
  });

  test('a machine with nothing to boot', () => {
    const error = refusal({ Chipset: {} });
    expect(error.message).toContain('LinuxKernelDirect.KernelFilePath is missing');
  });
});
