import { accessSync, constants } from 'node:fs';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT, type HresultName } from '../../hcs/hresult.ts';
import type { Attachment, ComputeSystem, Plan9Share } from '../../hcs/schema/documents.ts';

/** What QEMU is asked to build, read from a ComputeSystem document. */
export interface MachinePlan {
  /** Undefined where the firmware finds what to boot. */
  readonly kernel: string | undefined;
  readonly initrd: string | undefined;
  readonly commandLine: string;
  /** UEFI firmware, instead of QEMU's BIOS. */
  readonly uefi: boolean;
  readonly memoryMB: number;
  readonly processors: number;
  readonly stopOnReset: boolean;
  /** Sockets of COM1 and COM2; undefined where nothing is connected. */
  readonly comPorts: readonly (string | undefined)[];
  readonly disks: readonly PlannedDisk[];
  readonly shares: readonly PlannedShare[];
  /** File with the state that the machine goes on from. */
  readonly savedState: string | undefined;
}

/** An attachment of a SCSI controller. */
export interface PlannedDisk {
  /** Number of the controller, in document order. */
  readonly controller: number;
  readonly lun: number;
  readonly path: string;
  readonly format: 'raw' | 'vhdx' | 'vpc' | 'qcow2';
  readonly readOnly: boolean;
  readonly isIso: boolean;
}

/** A folder that the guest mounts by 9p2000.L over virtio. */
export interface PlannedShare {
  readonly tag: string;
  readonly path: string;
  readonly readOnly: boolean;
}

type Fields = { readonly [key: string]: Fields | true };

/** The fields that mean something here; `true` stands for all that is below. Hints are taken and have no effect. */
const HONOURED: Fields = {
  Version: true,
  StopOnReset: true,
  RestoreState: { SaveStateFilePath: true, TemplateSystemId: true },
  Chipset: {
    UseUtc: true,
    Uefi: {},
    LinuxKernelDirect: { KernelFilePath: true, InitRdPath: true, KernelCmdLine: true },
  },
  ComputeTopology: {
    Memory: {
      SizeInMB: true,
      AllowOvercommit: true,
      EnableDeferredCommit: true,
      EnableHotHint: true,
      EnableColdHint: true,
      EnableColdDiscardHint: true,
      FaultClusterSizeShift: true,
      Backing: true,
    },
    Processor: { Count: true },
  },
  Devices: { ComPorts: true, FlexibleIov: true, Scsi: true, Plan9: true },
};

const DEFAULT_MEMORY_MB = 512;
const LARGEST_MEMORY_MB = 1024 * 1024;
const MOST_PROCESSORS = 255;
/** Longest path of a unix socket, in bytes (unix(7)). */
const LONGEST_SOCKET_PATH = 107;
/** Flags of a Plan9Share: read-only (hcsshim). */
const SHARE_READ_ONLY = 1;

/**
 * Reads the document of a virtual machine, refusing what QEMU is not asked to do for it.
 * @throws HcsError naming the JSON path
 */
export function planMachine(document: Readonly<Record<string, unknown>>): MachinePlan {
  const machine = (document as ComputeSystem).VirtualMachine;
  if (machine === undefined) {
    throw refusal('$.VirtualMachine', 'this engine runs virtual machines only');
  }
  refuseOthers(machine as Readonly<Record<string, unknown>>, HONOURED, '$.VirtualMachine');
  const { Chipset, ComputeTopology, Devices, RestoreState, StopOnReset = false } = machine;
  const { SaveStateFilePath: savedState, TemplateSystemId } = RestoreState ?? {};
  if (savedState !== undefined) {
    const path = '$.VirtualMachine.RestoreState.SaveStateFilePath';
    if (TemplateSystemId !== undefined) {
      throw failure('E_INVALIDARG', `${path} and TemplateSystemId exclude each other: write one`);
    }
    requireFile(path, savedState);
  }
  const at = '$.VirtualMachine.Chipset.LinuxKernelDirect';
  const boot = Chipset?.LinuxKernelDirect;
  const uefi = Chipset?.Uefi !== undefined;
  const kernel = boot?.KernelFilePath;
  if (kernel === undefined && (boot !== undefined || !uefi)) {
    throw failure(
      'E_INVALIDARG',
      `${at}.KernelFilePath is missing: the linux host boots a kernel directly, or by $.VirtualMachine.Chipset.Uefi`,
    );
  }
  const initrd = boot?.InitRdPath;
  if (kernel !== undefined) requireFile(`${at}.KernelFilePath`, kernel);
  if (initrd !== undefined) requireFile(`${at}.InitRdPath`, initrd);
  const topology = '$.VirtualMachine.ComputeTopology';
  return {
    kernel,
    initrd,
    commandLine: boot?.KernelCmdLine ?? '',
    uefi,
    memoryMB: wholeNumber(
      `${topology}.Memory.SizeInMB`,
      ComputeTopology?.Memory?.SizeInMB ?? DEFAULT_MEMORY_MB,
      LARGEST_MEMORY_MB,
    ),
    processors: wholeNumber(
      `${topology}.Processor.Count`,
      ComputeTopology?.Processor?.Count ?? 1,
      MOST_PROCESSORS,
    ),
    stopOnReset: StopOnReset,
    comPorts: planComPorts(Devices?.ComPorts ?? {}),
    disks: planDisks(Devices?.Scsi ?? {}),
    shares: (Devices?.Plan9?.Shares ?? []).map(planShare),
    savedState,
  };
}

function refuseOthers(
  value: Readonly<Record<string, unknown>>,
  honoured: Fields,
  path: string,
): void {
  for (const [key, field] of Object.entries(value)) {
    const known = honoured[key];
    if (known === undefined) {
      throw refusal(`${path}.${key}`, 'the linux host does not do this yet; leave it out');
    }
    if (known !== true && typeof field === 'object' && field !== null) {
      refuseOthers(field as Readonly<Record<string, unknown>>, known, `${path}.${key}`);
    }
  }
}

function planComPorts(
  ports: Readonly<Record<string, { readonly NamedPipe?: string }>>,
): readonly (string | undefined)[] {
  const planned: (string | undefined)[] = [undefined, undefined];
  for (const [key, { NamedPipe = '' }] of Object.entries(ports)) {
    const at = `$.VirtualMachine.Devices.ComPorts["${key}"]`;
    if (key !== '0' && key !== '1') throw refusal(at, 'a machine has COM ports 0 and 1');
    if (NamedPipe === '') continue;
    if (!NamedPipe.startsWith('/')) {
      throw failure(
        'E_INVALIDARG',
        `${at}.NamedPipe is "${NamedPipe}": on this host it is the absolute path of a unix socket`,
      );
    }
    if (Buffer.byteLength(NamedPipe) > LONGEST_SOCKET_PATH) {
      throw failure(
        'E_INVALIDARG',
        `${at}.NamedPipe has ${Buffer.byteLength(NamedPipe)} bytes: a socket's path has at most ${LONGEST_SOCKET_PATH}; use a shorter folder`,
      );
    }
    planned[Number(key)] = NamedPipe;
  }
  return planned;
}

function planDisks(
  controllers: Readonly<
    Record<string, { readonly Attachments?: Readonly<Record<string, Attachment>> }>
  >,
): PlannedDisk[] {
  return Object.entries(controllers).flatMap(([name, { Attachments = {} }], controller) =>
    Object.entries(Attachments).map(([lun, attachment]) => {
      const at = `$.VirtualMachine.Devices.Scsi["${name}"].Attachments["${lun}"]`;
      const { Type = 'VirtualDisk', Path, ReadOnly = false } = attachment;
      if (Type !== 'VirtualDisk' && Type !== 'Iso') {
        throw refusal(`${at}.Type`, `"${Type}" cannot be attached; VirtualDisk and Iso can`);
      }
      if (Path === undefined) throw failure('E_INVALIDARG', `${at}.Path is missing`);
      requireFile(`${at}.Path`, Path);
      return {
        controller,
        lun: wholeNumber(`${at} (the key)`, Number(lun), 63, 0),
        path: Path,
        format: diskFormat(Path),
        readOnly: ReadOnly || Type === 'Iso',
        isIso: Type === 'Iso',
      };
    }),
  );
}

function diskFormat(path: string): PlannedDisk['format'] {
  if (/\.vhdx$/i.test(path)) return 'vhdx';
  if (/\.vhd$/i.test(path)) return 'vpc';
  return /\.qcow2$/i.test(path) ? 'qcow2' : 'raw';
}

function planShare(share: Plan9Share, index: number): PlannedShare {
  const at = `$.VirtualMachine.Devices.Plan9.Shares[${index}]`;
  const tag = share.AccessName ?? share.Name;
  if (tag === undefined || !/^[\w.-]{1,31}$/.test(tag)) {
    throw failure(
      'E_INVALIDARG',
      `${at}.Name is ${tag === undefined ? 'missing' : `"${tag}"`}: use 1 to 31 letters, digits, ".", "_" and "-"`,
    );
  }
  if (share.Path === undefined) throw failure('E_INVALIDARG', `${at}.Path is missing`);
  requireFile(`${at}.Path`, share.Path);
  return { tag, path: share.Path, readOnly: ((share.Flags ?? 0) & SHARE_READ_ONLY) !== 0 };
}

function wholeNumber(path: string, value: number, largest: number, smallest = 1): number {
  if (Number.isInteger(value) && value >= smallest && value <= largest) return value;
  throw failure(
    'E_INVALIDARG',
    `${path} is ${value}: use a whole number from ${smallest} to ${largest}`,
  );
}

function requireFile(path: string, file: string): void {
  try {
    accessSync(file, constants.R_OK);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw failure(
      missing ? 'ERROR_FILE_NOT_FOUND' : 'E_ACCESSDENIED',
      `${path} is "${file}": ${missing ? 'there is no such file' : 'it cannot be read'}`,
    );
  }
}

function refusal(path: string, reason: string): HcsError {
  return failure('E_NOTIMPL', `Cannot honour ${path}: ${reason}`);
}

function failure(code: HresultName, message: string): HcsError {
  return new HcsError({ function: 'HcsCreateComputeSystem', hresult: HRESULT[code], message });
}
