import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { QemuEngine } from '../../src/engines/qemu/engine.ts';
import type { Devices, Uefi } from '../../src/hcs/schema/documents.ts';
import { createGranted } from './create-granted.ts';
import { efiDisk, efiProgram } from './efi-disk.ts';
import { FirmwareConsole } from './firmware-console.ts';

/** MicrosoftUEFICertificateAuthority. */
const SecureBootTemplateId = '272e7447-90a4-4563-a4b9-8e4ab00526ce';

let folder: string;
const engine = new QemuEngine({ accounts: 'service' });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvf-'));
  for (const name of ['first', 'second']) {
    const program = efiProgram(`${name} has booted`);
    writeFileSync(join(folder, `${name}.efi`), program);
    writeFileSync(join(folder, `${name}.raw`), efiDisk(program));
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const disks = (): Devices => ({
  Scsi: {
    disks: {
      Attachments: {
        '0': { Path: join(folder, 'first.raw') },
        '1': { Path: join(folder, 'second.raw') },
      },
    },
  },
});

/** What the firmware and its programs say on COM1, until they have said what is waited for. */
async function printedBy(
  Uefi: Uefi,
  devices: Devices,
  awaited: RegExp,
  GuestStateFilePath?: string,
): Promise<string> {
  const NamedPipe = join(folder, 'com1');
  const machine = await createGranted(engine, {
    id: 'hdvkit-firmware',
    runtimeId: randomUUID(),
    document: {
      VirtualMachine: {
        Chipset: { Uefi },
        ComputeTopology: { Memory: { SizeInMB: 128 } },
        Devices: { ...devices, ComPorts: { '0': { NamedPipe } } },
        ...(GuestStateFilePath === undefined ? {} : { GuestState: { GuestStateFilePath } }),
      },
    },
    exited: () => {},
    notify: () => {},
  });
  try {
    await using console = await FirmwareConsole.connect(NamedPipe);
    await machine.start([]);
    await console.says(awaited);
    return console.printed;
  } finally {
    await machine.terminate();
  }
}

test('the firmware boots the disk of the document first', async () => {
  const entry = { DeviceType: 'ScsiDrive', DevicePath: 'disks', DiskNumber: 1 } as const;
  const printed = await printedBy({ BootThis: entry }, disks(), /has booted/);
  expect(printed).toContain('second has booted');
});

test('the firmware boots a file of this machine', async () => {
  const entry = {
    DeviceType: 'VmbFs',
    VmbFsRootPath: folder,
    DevicePath: '\\first.efi',
    OptionalData: 'some options',
  } as const;
  const printed = await printedBy({ BootThis: entry }, {}, /has booted/);
  expect(printed).toContain('first has booted');
});

test('the firmware boots over the network first', async () => {
  const devices = { ...disks(), NetworkAdapters: { lan: {} } };
  const printed = await printedBy(
    { BootThis: { DeviceType: 'Network' } },
    devices,
    /PXE over IPv4/,
  );
  expect(printed).not.toContain('has booted');
});

test('the firmware boots nothing that Microsoft has not signed, where the document says so', async () => {
  const state = join(folder, 'state');
  await engine.files.createGuestState(state);
  const before = readFileSync(state);
  const secure = { SecureBootTemplateId, ApplySecureBootTemplate: 'Apply' } as const;
  const printed = await printedBy(secure, disks(), /No bootable option/, state);
  expect(printed).toContain('Access Denied');
  expect(printed).not.toContain('has booted');
  // The certificates are in the machine's variables now, where a template that is skipped leaves them.
  expect(readFileSync(state).equals(before)).toBe(false);
});
