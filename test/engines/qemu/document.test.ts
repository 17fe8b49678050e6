import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { planMachine } from '../../../src/engines/qemu/document.ts';
import { HcsError } from '../../../src/hcs/hcs-error.ts';
import { HRESULT } from '../../../src/hcs/hresult.ts';

let folder: string;
let kernel: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvk-'));
  kernel = join(folder, 'vmlinux');
  writeFileSync(kernel, '');
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
      memoryMB: 512,
      processors: 1,
      stopOnReset: false,
      comPorts: [undefined, undefined],
      disks: [],
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
      shares: [{ tag: 'src', path: folder, readOnly: true }],
    });
  });
});

describe('a field that cannot be honoured is named by its path', () => {
  test.each([
    [{ GuestState: {} }, '$.VirtualMachine.GuestState'],
    [
      { Chipset: { Uefi: { StopOnBootFailure: true } } },
      '$.VirtualMachine.Chipset.Uefi.StopOnBootFailure',
    ],
    [
      { ComputeTopology: { Processor: { Limit: 50_000 } } },
      '$.VirtualMachine.ComputeTopology.Processor.Limit',
    ],
    [{ Devices: { VideoMonitor: {} } }, '$.VirtualMachine.Devices.VideoMonitor'],
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
      { Devices: { Scsi: { a: { Attachments: { '64': { Path: '/dev/null' } } } } } },
      /Attachments\["64"\] \(the key\) is 64/,
    ],
  ])('%j', (machine, message) => {
    const error = refusal(machine);
    expect(error.hresult).toBe(HRESULT.E_INVALIDARG);
    expect(error.message).toMatch(message);
  });

  test('a file that is not there', () => {
    const error = refusal({}, { KernelFilePath: '/nowhere/vmlinuz' });
    expect(error.hresult).toBe(HRESULT.ERROR_FILE_NOT_FOUND);
    expect(error.message).toContain(
      '$.VirtualMachine.Chipset.LinuxKernelDirect.KernelFilePath is "/nowhere/vmlinuz": there is no such file',
    );
  });

  test('a machine with nothing to boot', () => {
    const error = refusal({ Chipset: {} });
    expect(error.message).toContain('LinuxKernelDirect.KernelFilePath is missing');
  });
});
