import { join } from 'node:path';
import type {
  Devices,
  Scsi,
  UefiBootEntry,
  VirtualMachine,
} from '../../../hcs/schema/documents.ts';
import type { Part } from '../part.ts';
import { requireAbsolute, requireFile } from '../required-file.ts';
import { cannotHonour, resourceFailure } from '../resources/resource-failure.ts';
import { requireKernel } from './kernel-file.ts';
import { type PlannedSecureBoot, planSecureBoot } from './secure-boot.ts';

/** What a machine boots. */
export interface PlannedBoot {
  /** Undefined where the firmware finds what to boot. */
  readonly kernel: string | undefined;
  readonly initrd: string | undefined;
  readonly commandLine: string;
  /** UEFI firmware, instead of QEMU's BIOS. */
  readonly uefi: boolean;
  readonly secureBoot: PlannedSecureBoot;
  /** Id in QEMU of the device that the firmware tries first. Undefined: it has an order of its own. */
  readonly bootFirst: string | undefined;
}

/** How {@link planBoot} finds the ids of devices. */
export interface BootDevices {
  /** Of an attachment, by the number of its controller. */
  disk(controller: number, lun: number): string;
  /** Of a network adapter, by its key in the document. */
  adapter(key: string): string;
}

/** Reads Chipset of a document. @throws HcsError naming the JSON path */
export function planBoot(
  { Chipset = {}, Devices = {} }: VirtualMachine,
  ids: BootDevices,
): PlannedBoot {
  const at = '$.VirtualMachine.Chipset.LinuxKernelDirect';
  const { LinuxKernelDirect: direct, Uefi } = Chipset;
  const kernel = direct?.KernelFilePath;
  if (kernel === undefined && (direct !== undefined || Uefi === undefined)) {
    throw resourceFailure(
      'E_INVALIDARG',
      `${at}.KernelFilePath is missing: the linux host boots a kernel directly, or by $.VirtualMachine.Chipset.Uefi`,
    );
  }
  const initrd = direct?.InitRdPath;
  const commandLine = direct?.KernelCmdLine ?? '';
  if (kernel !== undefined) {
    requireKernel({
      ...{ file: kernel, at: `${at}.KernelFilePath` },
      ...{ commandLine, lineAt: `${at}.KernelCmdLine` },
      uefi: Uefi !== undefined,
    });
  }
  if (initrd !== undefined) requireFile(`${at}.InitRdPath`, initrd);
  const uefiAt = '$.VirtualMachine.Chipset.Uefi';
  if (Uefi?.Console === 'Disabled') {
    throw cannotHonour(`${uefiAt}.Console`, 'the firmware (OVMF) has its console on all COM ports');
  }
  const entry = Uefi?.BootThis;
  return {
    kernel,
    initrd,
    commandLine,
    uefi: Uefi !== undefined,
    secureBoot: Uefi === undefined ? undefined : planSecureBoot(uefiAt, Uefi),
    bootFirst: undefined,
    ...(entry === undefined ? {} : planEntry(`${uefiAt}.BootThis`, entry, Devices, ids)),
  };
}

function planEntry(
  at: string,
  entry: UefiBootEntry,
  devices: Devices,
  ids: BootDevices,
): Partial<PlannedBoot> {
  const { DeviceType, OptionalData = '' } = entry;
  if (DeviceType === undefined) {
    throw resourceFailure(
      'E_INVALIDARG',
      `${at}.DeviceType is missing: write ScsiDrive, Network or VmbFs`,
    );
  }
  if (DeviceType === 'File') {
    throw cannotHonour(
      `${at}.DeviceType`,
      'QEMU cannot name a file to the firmware that is on none of its disks; use ScsiDrive, or VmbFs for a file of this machine',
    );
  }
  if (DeviceType === 'VmbFs') return filesOf(at, entry);
  if (OptionalData !== '') {
    throw cannotHonour(
      `${at}.OptionalData`,
      'QEMU hands options to a kernel only: use VmbFs, or write them where the boot loader of the disk reads them',
    );
  }
  return {
    bootFirst:
      DeviceType === 'Network'
        ? adapterOf(at, entry, devices, ids)
        : diskOf(at, entry, devices.Scsi ?? {}, ids),
  };
}

/** A kernel in a folder of this machine; Windows' separators are as good as Linux's. */
function filesOf(at: string, entry: UefiBootEntry): Partial<PlannedBoot> {
  const { VmbFsRootPath: root, DevicePath, OptionalData = '' } = entry;
  if (root === undefined || DevicePath === undefined) {
    const name = root === undefined ? 'VmbFsRootPath' : 'DevicePath';
    throw resourceFailure(
      'E_INVALIDARG',
      `${at}.${name} is missing: VmbFs boots the file DevicePath in the folder VmbFsRootPath`,
    );
  }
  requireAbsolute(`${at}.VmbFsRootPath`, root);
  const inRoot = (path: string): string => join(root, path.replaceAll('\\', '/'));
  const words = OptionalData.split(/\s+/).filter((word) => word !== '');
  const initrds = words.filter((word) => word.startsWith('initrd='));
  if (initrds.length > 1) {
    throw resourceFailure('E_INVALIDARG', `${at}.OptionalData names ${initrds.length} initrds`);
  }
  const kernel = inRoot(DevicePath);
  const initrd = initrds[0] === undefined ? undefined : inRoot(initrds[0].slice('initrd='.length));
  const commandLine = words.filter((word) => !word.startsWith('initrd=')).join(' ');
  requireKernel({
    ...{ file: kernel, at: `${at}.DevicePath` },
    ...{ commandLine, lineAt: `${at}.OptionalData` },
    uefi: true,
  });
  if (initrd !== undefined) requireFile(`${at}.OptionalData (initrd)`, initrd);
  return { kernel, initrd, commandLine };
}

function diskOf(
  at: string,
  { DevicePath, DiskNumber = 0 }: UefiBootEntry,
  controllers: Readonly<Record<string, Scsi>>,
  ids: BootDevices,
): string {
  const names = Object.keys(controllers);
  const name = DevicePath ?? (names.length === 1 ? names[0] : undefined);
  const number = names.findIndex((one) => one.toLowerCase() === name?.toLowerCase());
  const attachments = controllers[names[number] ?? '']?.Attachments ?? {};
  if (Object.hasOwn(attachments, String(DiskNumber))) return ids.disk(number, DiskNumber);
  throw resourceFailure(
    'E_INVALIDARG',
    `${at} is attachment ${DiskNumber} of the controller "${name ?? ''}", which the document has not: write the name of a controller of Devices.Scsi as DevicePath, and the number of an attachment as DiskNumber`,
  );
}

function adapterOf(
  at: string,
  { DevicePath }: UefiBootEntry,
  { NetworkAdapters = {} }: Devices,
  ids: BootDevices,
): string {
  const keys = Object.keys(NetworkAdapters);
  const key =
    DevicePath === undefined
      ? keys[0]
      : keys.find((one) => one.toLowerCase() === DevicePath.toLowerCase());
  if (key !== undefined) return ids.adapter(key);
  throw resourceFailure(
    'E_INVALIDARG',
    `${at} is a network adapter, and the document has ${DevicePath === undefined ? 'none' : `no "${DevicePath}"`}: add it to Devices.NetworkAdapters`,
  );
}

/** A part as the firmware sees it, which tries one device first. */
export function inBootOrder(part: Part, first: string | undefined): Part {
  return part.id === first ? { ...part, device: { ...part.device, bootindex: 0 } } : part;
}
