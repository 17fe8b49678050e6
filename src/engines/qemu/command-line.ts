import { constants, openSync } from 'node:fs';
import type { Firmware } from '../../provision/find-firmware.ts';
import { CRASH_LOG_SIZE } from './crash-log.ts';
import type { HandedFiles } from './handed-files.ts';
import { inBootOrder } from './hardware/boot.ts';
import { hardwareArguments } from './hardware/hardware.ts';
import { hostingArguments, nameProperties } from './hardware/hosting.ts';
import { memoryArguments, memoryProperties } from './hardware/memory-backends.ts';
import { layoutProperties } from './hardware/memory-layout.ts';
import { processorArguments } from './hardware/processor-model.ts';
import { mostProcessors } from './hardware/processor-room.ts';
import { secureBootArguments, secureBootProperties } from './hardware/secure-boot.ts';
import type { MachinePlan, PlannedShare } from './machine-plan.ts';
import { escapeOption, socketOptions } from './option-text.ts';
import { type Part, partArguments } from './part.ts';
import { CONTROL_FD } from './qemu-process.ts';
import { resetAction } from './reset.ts';
import { consoleArguments } from './resources/console.ts';
import { BALLOON_PART, hotMemoryPart } from './resources/memory.ts';
import { adapterPart } from './resources/network-adapter.ts';
import { persistentMemoryPart } from './resources/persistent-memory.ts';
import { diskPart, limitsArguments } from './resources/scsi.ts';
import { SERIAL_CONTROLLER, serialPortArguments } from './resources/serial-port.ts';
import { sharedRegionPart } from './resources/shared-memory.ts';
import { tpmArguments } from './resources/tpm.ts';
import { isVirtiofs, shareId, virtiofsPart } from './resources/virtiofs.ts';
import { ROOT_PORTS, type RootPorts, rootPort } from './root-ports.ts';
import type { SideProcesses } from './side-processes.ts';

/** What a command line is made of, besides the document. */
export interface CommandLineOptions {
  readonly id: string;
  readonly runtimeId: string;
  /** Major version of QEMU. */
  readonly majorVersion: number;
  readonly accelerator: 'tcg' | 'kvm';
  /** File in which a guest keeps error records over its end, of {@link CRASH_LOG_SIZE} bytes. */
  readonly crashLog: string;
  readonly memory: MachineMemory;
  /** Descriptors of the files that are the memory, in QEMU: one for each NUMA node. */
  readonly memoryFds: readonly number[];
  /** The root ports of the machine; those of what the document has are taken. */
  readonly ports: RootPorts;
  /** Sockets where somebody listens already: QEMU connects there instead of listening. */
  readonly listening: ReadonlySet<string>;
  /** The programs beside QEMU for what the document has; they run. */
  readonly sides: Pick<SideProcesses, 'socketOf'>;
  /** How QEMU comes by files and sockets. */
  readonly files: HandedFiles;
  /** Where QEMU makes the socket of the monitor, if not where the document has it. */
  readonly monitorSocket?: string | undefined;
  /** Lets QEMU start no process and gain no right, where it is built for that. */
  readonly sandbox: boolean;
  /** File of QEMU's options with the kernel's command line. Undefined: that is an argument. */
  readonly kernelOptions?: string | undefined;
  /** The machine's UEFI firmware; `variables` is its own copy. Undefined: QEMU's BIOS. */
  readonly firmware?: Pick<Firmware, 'code' | 'variables'> | undefined;
  /** A machine that goes on where another one was saved; it waits for that one's state. */
  readonly restore?: RestoredMake | undefined;
  readonly extraArgs?: readonly string[];
}

/** Memory of a machine. */
export interface MachineMemory {
  /** MiB that it starts with. */
  readonly baseMB: number;
  /** MiB that may come later; 0: none, and no persistent memory either. */
  readonly roomMB: number;
}

/** Room for persistent memory, which is in the same part of the guest's address space. */
const PERSISTENT_ROOM_MB = 16 * 1024;

/** What a restored machine must be made of. */
export interface RestoredMake {
  /** QEMU's versioned name of the machine type. */
  readonly machineType: string;
  /** Whether the machine gets a private copy on write of its template's RAM; otherwise the state has it. */
  readonly isClone: boolean;
  /** Guest-physical addresses of memory that is a device, by the device's id. */
  readonly memoryAddresses: Readonly<Record<string, number>>;
}

/**
 * QEMU's arguments for a machine that waits for `cont`. RAM is a file in memory that device processes map; every file
 * name goes in as JSON or as an argument of its own, so that none is taken for an option.
 */
export function qemuArguments(plan: MachinePlan, options: CommandLineOptions): string[] {
  const { id, runtimeId, accelerator, restore, files } = options;
  const machine = restore?.machineType ?? 'q35';
  return [
    '-S',
    ...(restore === undefined ? [] : ['-incoming', 'defer']),
    ...['-name', `guest=${escapeOption(id)},debug-threads=on${nameProperties(plan.hosting)}`],
    ...['-uuid', runtimeId],
    ...[
      '-machine',
      `${machine}${memoryProperties(plan.hardware.numa)}${options.firmware === undefined ? '' : ',pflash0=code,pflash1=variables'}${layoutProperties(plan.hardware.layout)}${secureBootProperties(plan.secureBoot)}`,
    ],
    ...flash(options.firmware, files),
    ...secureBootArguments(plan.secureBoot),
    ...withKvm(processorArguments(accelerator, plan.hardware.processor), accelerator, files),
    ...hardwareArguments(plan.hardware),
    ...hostingArguments(plan.hosting),
    '-nodefaults',
    '-no-user-config',
    ...['-display', 'none'],
    ...(options.sandbox
      ? ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny']
      : []),
    // The machine stays after its end, so that how it ended can be read. A guest that panics has to write its log.
    ...['-action', `shutdown=pause,panic=none,reboot=${resetAction(plan)}`],
    ...control(options),
    ...['-m', memorySize(options)],
    ...memoryArguments({
      numa: plan.hardware.numa,
      places: plan.hosting.places,
      processors: plan.processors,
      baseMB: options.memory.baseMB,
      descriptors: options.memoryFds,
      isClone: restore?.isClone === true,
    }),
    ...(plan.kernel === undefined ? [] : ['-kernel', files.name(plan.kernel)]),
    ...(plan.initrd === undefined ? [] : ['-initrd', files.name(plan.initrd)]),
    ...kernelCommandLine(plan, options),
    ...plan.comPorts.flatMap((path, index) => comPort(index, path, options)),
    ...json('-device', { driver: 'pvpanic-pci' }),
    ...json('-object', {
      'qom-type': 'memory-backend-file',
      id: 'crash-log',
      'mem-path': files.name(options.crashLog),
      size: CRASH_LOG_SIZE,
      share: true,
    }),
    ...json('-device', { driver: 'acpi-erst', memdev: 'crash-log' }),
    ...rootPorts(),
    ...disks(plan, files),
    ...pciParts(plan, options),
    ...serialPortArguments(plan.serialPorts, options.listening, files),
    ...plan9Shares(plan, options).flatMap(({ tag, path, readOnly }, index) => [
      '-fsdev',
      `local,id=fs${index},path=${escapeOption(files.name(path))},security_model=none,multidevs=remap${readOnly ? ',readonly=on' : ''}`,
      ...json('-device', { driver: 'virtio-9p-pci', fsdev: `fs${index}`, mount_tag: tag }),
    ]),
    ...consoleArguments(plan.console, options.monitorSocket),
    ...tpmArguments(plan.tpm, {
      socketOf: (device) => files.name(options.sides.socketOf(device)),
    }),
    ...(options.extraArgs ?? []),
  ];
}

function kernelCommandLine(
  { commandLine }: MachinePlan,
  { kernelOptions, files }: CommandLineOptions,
): string[] {
  if (kernelOptions !== undefined) return ['-readconfig', files.name(kernelOptions)];
  return commandLine === '' ? [] : ['-append', commandLine];
}

/** Memory at the start, and the room for memory that comes later; a slot is asked for by QEMU, and not used. */
function memorySize({ memory: { baseMB, roomMB } }: CommandLineOptions): string {
  if (roomMB === 0) return `size=${baseMB}M`;
  return `size=${baseMB}M,slots=1,maxmem=${baseMB + roomMB + PERSISTENT_ROOM_MB}M`;
}

/** QEMU connects to a socket of ours, so that nobody has to wait for one of QEMU's to appear. */
function control({ majorVersion }: CommandLineOptions): string[] {
  const chardev = ['-chardev', `socket,id=control,fd=${CONTROL_FD},server=on,wait=off`];
  return majorVersion >= 11
    ? [...chardev, '-object', 'monitor-qmp,id=qmp,chardev=control']
    : [...chardev, '-mon', 'chardev=control,mode=control'];
}

function flash(firmware: CommandLineOptions['firmware'], files: HandedFiles): string[] {
  if (firmware === undefined) return [];
  return (['code', 'variables'] as const).flatMap((name) =>
    json('-blockdev', {
      driver: firmware[name].format,
      'node-name': name,
      'read-only': name === 'code',
      file: { driver: 'file', filename: files.name(firmware[name].path) },
    }),
  );
}

function comPort(
  index: number,
  path: string | undefined,
  { listening, files }: CommandLineOptions,
): string[] {
  const id = `com${index + 1}`;
  const backend =
    path === undefined
      ? `null,id=${id}`
      : `socket,id=${id},${socketOptions(path, listening.has(path), files)}`;
  return ['-chardev', backend, '-serial', `chardev:${id}`];
}

/** KVM's device is the service's to open, where QEMU has an account of its own. */
function withKvm(args: readonly string[], accelerator: string, files: HandedFiles): string[] {
  if (accelerator !== 'kvm' || files.account === undefined) return [...args];
  const fd = files.give(openSync('/dev/kvm', constants.O_RDWR));
  return [
    ...['-add-fd', `fd=${fd},set=0`],
    ...args.map((arg) => (arg === 'kvm' ? 'kvm,device=/dev/fdset/0' : arg)),
  ];
}

/** Windows that fit the BARs of devices that come later; no I/O space, of which there is not enough for all. */
function rootPorts(): string[] {
  return Array.from({ length: ROOT_PORTS }, (_, index) =>
    json('-device', {
      driver: 'pcie-root-port',
      id: rootPort(index),
      bus: 'pcie.0',
      chassis: index + 1,
      slot: index + 1,
      'io-reserve': 0,
      'mem-reserve': 8 * 1024 * 1024,
      'pref64-reserve': 64 * 1024 * 1024,
    }),
  ).flat();
}

/** All controllers of the document, whether or not something is attached. */
function disks(
  { controllers, disks: planned, storageLimits, bootFirst, hardware, processors }: MachinePlan,
  files: HandedFiles,
): string[] {
  const queues = mostProcessors(hardware.numa, processors);
  return [
    ...limitsArguments(storageLimits),
    ...controllers.flatMap((_, controller) =>
      json('-device', { driver: 'virtio-scsi-pci', id: `scsi${controller}`, num_queues: queues }),
    ),
    ...planned.flatMap((disk) =>
      partArguments(inBootOrder(diskPart(disk, storageLimits), bootFirst), undefined, (args) =>
        files.backend(args),
      ),
    ),
  ];
}

/** What is behind root ports: those of the document, and those that a machine that goes on had besides. */
function pciParts(plan: MachinePlan, options: CommandLineOptions): string[] {
  const { ports, memory, runtimeId, sides, files } = options;
  const hotMB = Math.max(0, plan.memoryMB - memory.baseMB);
  const parts: Part[] = [
    ...plan.adapters.map((adapter) => inBootOrder(adapterPart(adapter, runtimeId), plan.bootFirst)),
    ...plan.persistentMemory.map(persistentMemoryPart),
    ...plan.sharedMemory.map(sharedRegionPart),
    ...plan.shares
      .filter((share) => isVirtiofs(share, ports))
      .map((share) => virtiofsPart(share, files.name(sides.socketOf(shareId(share))))),
    ...(plan.serialPorts.length > 0 || ports.has(SERIAL_CONTROLLER.id) ? [SERIAL_CONTROLLER] : []),
    ...[BALLOON_PART, hotMemoryPart(memory.roomMB, hotMB)].filter(({ id }) => ports.has(id)),
  ];
  const addresses = options.restore?.memoryAddresses ?? {};
  return parts.flatMap((part) =>
    partArguments(placed(part, addresses), ports.take(part.id), (args) => files.backend(args)),
  );
}

/** Shares that QEMU serves itself, from its start to its end. */
function plan9Shares({ shares }: MachinePlan, { ports }: CommandLineOptions): PlannedShare[] {
  return shares.filter((share) => !isVirtiofs(share, ports));
}

/** Memory is where it was, in whatever order it came. */
function placed(part: Part, addresses: Readonly<Record<string, number>>): Part {
  const memaddr = addresses[part.id];
  return memaddr === undefined ? part : { ...part, device: { ...part.device, memaddr } };
}

function json(option: string, value: Readonly<Record<string, unknown>>): string[] {
  return [option, JSON.stringify(value)];
}
