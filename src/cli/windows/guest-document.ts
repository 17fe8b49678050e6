import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import type { ComputeSystem } from '../../hcs/schema/documents.ts';
import type { RunOptions } from '../run-options.ts';

/** A machine of Hyper-V for a guest that the user brings, and what it must be allowed to read. */
export interface WindowsGuest {
  readonly document: ComputeSystem;
  /** Pipe of the first serial port. */
  readonly consolePath: string;
  /** Files that the machine's own account opens: HcsGrantVmAccess. */
  readonly files: readonly string[];
}

const DISKS = 'disks';

/** A kernel is booted directly, else the first disk by UEFI, else nothing but the firmware runs. */
export function windowsGuest(options: RunOptions): WindowsGuest {
  const kernel = absolute(options.kernel);
  const initrd = absolute(options.initrd);
  const disks = (options.disk ?? []).map((path) => resolve(path));
  const consolePath = `\\\\.\\pipe\\hdvkit-${randomUUID()}`;
  const chipset =
    kernel === undefined
      ? {
          Uefi:
            disks.length === 0 ? {} : { BootThis: bootFirstDisk(), Console: 'ComPort1' as const },
        }
      : {
          LinuxKernelDirect: {
            KernelFilePath: kernel,
            ...(initrd === undefined ? {} : { InitRdPath: initrd }),
            KernelCmdLine: ['console=ttyS0', 'panic=-1', options.append ?? ''].join(' ').trim(),
          },
        };
  const attachments = disks.map((path, index) => [
    String(index),
    { Type: /\.iso$/i.test(path) ? ('Iso' as const) : ('VirtualDisk' as const), Path: path },
  ]);
  const scsi = { [DISKS]: { Attachments: Object.fromEntries(attachments) } };
  return {
    consolePath,
    files: [kernel, initrd, ...disks].filter((path) => path !== undefined),
    document: {
      Owner: 'hdvkit',
      // Booting a kernel came with 2.3.
      SchemaVersion: { Major: 2, Minor: 3 },
      ShouldTerminateOnLastHandleClosed: true,
      VirtualMachine: {
        StopOnReset: true,
        Chipset: chipset,
        ComputeTopology: {
          Memory: { SizeInMB: options.memory ?? 1024 },
          Processor: { Count: options.processors ?? 2 },
        },
        Devices: {
          ComPorts: { 0: { NamedPipe: consolePath } },
          ...(disks.length === 0 ? {} : { Scsi: scsi }),
        },
      },
    },
  };
}

const bootFirstDisk = () =>
  ({ DeviceType: 'ScsiDrive', DevicePath: DISKS, DiskNumber: 0 }) as const;

function absolute(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(path);
}
