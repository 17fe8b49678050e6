import { statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { ComputeSystem } from '../../hcs/schema/documents.ts';
import { buildInitramfs, type GuestShare } from '../../provision/initramfs.ts';
import { KernelModules, type PciModuleQuery } from '../../provision/kernel-modules.ts';
import { provisionAgent } from '../../provision/provision-agent.ts';
import { ProvisionError } from '../../provision/provision-error.ts';
import { findGuest } from '../../provision/provision-guest.ts';
import { QemuFiles } from './files.ts';
import { GuestAgent } from './guest-agent.ts';
import { WatchedFolder } from './watched-folder.ts';

/** What the test guest is to be; everything has a default. */
export interface LinuxGuestOptions {
  /** MiB of memory; 512. */
  readonly memory?: number | undefined;
  readonly processors?: number | undefined;
  /** Boots by UEFI firmware, which takes longer; default: no. */
  readonly uefi?: boolean | undefined;
  /** A kernel of the user's own. */
  readonly kernel?: string | undefined;
  /** An initramfs of the user's own: there is no agent then, unless it has one. */
  readonly initrd?: string | undefined;
  /** Added to the kernel's command line. */
  readonly kernelArguments?: string | undefined;
  /** Modules of the guest's kernel to load, by name. */
  readonly modules?: readonly string[] | undefined;
  /** Functions that will be there: the kernel's modules that drive them are loaded. */
  readonly drive?: readonly PciModuleQuery[] | undefined;
  /** Module files (.ko) to load. */
  readonly extraModules?: readonly string[] | undefined;
  /** Absolute path in the guest → file of this machine. */
  readonly files?: Readonly<Record<string, string>> | undefined;
  /** A folder of this machine that the guest has as /mnt/share. */
  readonly share?: string | undefined;
  /** Disk images, in order: raw, or what .qcow2, .vhd and .vhdx say. */
  readonly disks?: readonly string[] | undefined;
  /** Shell commands that run before the shell. */
  readonly commands?: readonly string[] | undefined;
  /** Runs the guest's end of GuestConnection, and writes that into the document; default: no. */
  readonly guestConnection?: boolean | undefined;
  /** Puts a shell on the console; default: no. */
  readonly shell?: boolean | undefined;
  readonly cache?: string | undefined;
}

/** Where the guest has the shared folder. */
export const SHARE_MOUNT_POINT = '/mnt/share';

const SHARE_TAG = 'share';
/**
 * Quiet, and back to the host at once when the kernel panics, with its messages where the host finds them. Memory that comes
 * later is used at once, for what can be moved when it is to go. The others leave out what makes booting slow under
 * emulation: self-tests of ciphers, patches against flaws of real processors, and port services (slots are hot-plugged by
 * ACPI).
 */
const KERNEL_ARGUMENTS =
  'console=ttyS0 quiet panic=-1 pstore.backend=erst memhp_default_state=online_movable cryptomgr.notests mitigations=off pcie_ports=compat';
/** The drivers of sockets between guest and host. */
const SOCKET_MODULES = ['virtio_pci', 'vmw_vsock_virtio_transport'];
/** MiB up to which all memory is below 4 GiB: no copies have to be made for devices that reach only that far. */
const LOW_MEMORY_MB = 2048;
const NO_COPIES = 'swiotlb=noforce';

/**
 * The test guest as a ComputeSystem document, and the sockets of its two serial ports: a console, and the control
 * agent. Create a system from the document, then connect; the sockets are there once it is created.
 */
export class LinuxGuest implements Disposable {
  /** The document; FlexibleIov entries may be added to its Devices. */
  readonly document: ComputeSystem;
  /** Socket of the console: kernel messages, and the shell. */
  readonly consolePath: string;
  readonly agentPath: string;
  readonly #folder: WatchedFolder;

  private constructor(folder: WatchedFolder, document: ComputeSystem) {
    this.#folder = folder;
    this.document = document;
    this.consolePath = folder.file('console');
    this.agentPath = folder.file('agent');
  }

  /**
   * Builds what the guest boots from.
   * @throws ProvisionError when the guest is not provisioned, or a file or module is missing
   */
  static async prepare(options: LinuxGuestOptions = {}): Promise<LinuxGuest> {
    for (const [option, file] of [
      ['kernel', options.kernel],
      ['initrd', options.initrd],
      ['share', options.share],
      ...(options.disks ?? []).map((disk) => ['disk', disk]),
      ...Object.values(options.files ?? {}).map((source) => ['file', source]),
    ]) {
      if (file !== undefined) requirePath(option!, file);
    }
    const kernel = options.kernel ?? kernelOf(options);
    const initrd = options.initrd ?? (await initramfs(options));
    // What is in the cache is anybody's; files of the user's own are the user's to grant.
    if (options.kernel === undefined) await letMachinesRead(kernel);
    if (options.initrd === undefined) await letMachinesRead(initrd);
    const folder = WatchedFolder.create();
    return new LinuxGuest(folder, describe(options, resolve(kernel), resolve(initrd), folder.path));
  }

  /** Connects to the agent, and resolves when the guest has booted. */
  connectAgent(signal?: AbortSignal): Promise<GuestAgent> {
    return GuestAgent.connect(this.agentPath, { signal });
  }

  /** Removes the sockets. */
  [Symbol.dispose](): void {
    void this.#folder.remove(); // The files are gone when it returns; the process that watched them is soon.
  }
}

function kernelOf({ cache, uefi = false }: LinuxGuestOptions): string {
  const { kernel, efiKernel } = findGuest(cache);
  return uefi ? efiKernel : kernel;
}

/** Machines of a service that is root have accounts of their own, which find nothing in the cache by themselves. */
async function letMachinesRead(path: string): Promise<void> {
  if (process.getuid?.() === 0) await new QemuFiles().grant({ kind: 'group' }, path);
}

async function initramfs(options: LinuxGuestOptions): Promise<string> {
  const guest = findGuest(options.cache);
  const kernel = new KernelModules(guest);
  const shares: GuestShare[] =
    options.share === undefined ? [] : [{ tag: SHARE_TAG, mountPoint: SHARE_MOUNT_POINT }];
  const drivers = (options.drive ?? []).flatMap((query) => kernel.forPciFunction(query));
  return await buildInitramfs({
    guest,
    agent: await provisionAgent({ cache: options.cache }),
    modules: [
      ...(options.modules ?? []),
      ...((options.disks ?? []).length > 0 ? ['virtio_pci', 'virtio_scsi', 'sd_mod', 'ext4'] : []),
      ...(options.guestConnection === true ? SOCKET_MODULES : []),
      ...drivers,
    ],
    extraModules: options.extraModules ?? [],
    files: options.files ?? {},
    shares,
    commands: [
      ...(options.guestConnection === true ? ['hdvkit-agent guest-connection &'] : []),
      ...(options.commands ?? []),
    ],
    shell: options.shell ?? false,
    cache: options.cache,
  });
}

function describe(
  options: LinuxGuestOptions,
  kernel: string,
  initrd: string,
  folder: string,
): ComputeSystem {
  const { disks = [], memory = 512, share } = options;
  const attachments = disks.map((path, lun) => [
    String(lun),
    { Type: 'VirtualDisk' as const, Path: resolve(path) },
  ]);
  return {
    Owner: 'hdvkit',
    SchemaVersion: { Major: 2, Minor: 3 },
    ShouldTerminateOnLastHandleClosed: true,
    VirtualMachine: {
      Chipset: {
        UseUtc: true,
        ...(options.uefi === true ? { Uefi: {} } : {}),
        LinuxKernelDirect: {
          KernelFilePath: kernel,
          InitRdPath: initrd,
          KernelCmdLine: [
            KERNEL_ARGUMENTS,
            ...(memory <= LOW_MEMORY_MB ? [NO_COPIES] : []),
            options.kernelArguments ?? '',
          ]
            .join(' ')
            .trim(),
        },
      },
      ...(options.guestConnection === true ? { GuestConnection: { UseVsock: true } } : {}),
      ComputeTopology: {
        Memory: { SizeInMB: memory },
        Processor: { Count: options.processors ?? 1 },
      },
      Devices: {
        ComPorts: {
          '0': { NamedPipe: join(folder, 'console') },
          '1': { NamedPipe: join(folder, 'agent') },
        },
        ...(disks.length === 0
          ? {}
          : { Scsi: { disks: { Attachments: Object.fromEntries(attachments) } } }),
        ...(share === undefined
          ? {}
          : {
              Plan9: { Shares: [{ Name: SHARE_TAG, AccessName: SHARE_TAG, Path: resolve(share) }] },
            }),
      },
    },
  };
}

function requirePath(option: string, file: string): void {
  const kind = option === 'share' ? 'folder' : 'file';
  const status = statSync(file, { throwIfNoEntry: false });
  // A disk or a kernel may be a device, or a link to one.
  if (status !== undefined && status.isDirectory() === (kind === 'folder')) return;
  throw new ProvisionError(
    status === undefined
      ? `Cannot use ${file} as ${option}: there is no such ${kind}`
      : `Cannot use ${file} as ${option}: it is not a ${kind}`,
    `check the path ${basename(file)}`,
  );
}
