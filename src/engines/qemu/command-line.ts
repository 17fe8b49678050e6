import type { Firmware } from '../../provision/find-firmware.ts';
import { CRASH_LOG_SIZE } from './crash-log.ts';
import type { MachinePlan } from './document.ts';

/** What a command line is made of, besides the document. */
export interface CommandLineOptions {
  readonly id: string;
  readonly runtimeId: string;
  /** Major version of QEMU. */
  readonly majorVersion: number;
  readonly accelerator: 'tcg' | 'kvm';
  /** Socket on which this process waits for QEMU's control connection. */
  readonly controlSocket: string;
  /** File in which a guest keeps error records over its end, of {@link CRASH_LOG_SIZE} bytes. */
  readonly crashLog: string;
  /** COM ports where somebody listens already: QEMU connects there instead of listening. */
  readonly listening: ReadonlySet<string>;
  /** Lets QEMU start no process and gain no right, where it is built for that. */
  readonly sandbox: boolean;
  /** The machine's UEFI firmware; `variables` is its own copy. Undefined: QEMU's BIOS. */
  readonly firmware?: Pick<Firmware, 'code' | 'variables'> | undefined;
  /** A machine that goes on where another one was saved; it waits for that one's state. */
  readonly restore?: RestoredMake | undefined;
  readonly extraArgs?: readonly string[];
}

/** What a restored machine must be made of. */
export interface RestoredMake {
  /** QEMU's versioned name of the machine type. */
  readonly machineType: string;
  /** File with the RAM, of which the machine gets a private copy on write. Undefined: the state has it. */
  readonly ram: string | undefined;
}

/** Slots for devices: a q35 machine takes most devices behind a root port only. */
export const ROOT_PORTS = 16;

/** Identifier of a root port. */
export function rootPort(index: number): string {
  return `rp${index}`;
}

/**
 * QEMU's arguments for a machine that waits for `cont`. RAM is a file in memory that device processes map; every file
 * name goes in as JSON or as an argument of its own, so that none is taken for an option.
 */
export function qemuArguments(plan: MachinePlan, options: CommandLineOptions): string[] {
  const { id, runtimeId, accelerator, restore } = options;
  const machine = restore?.machineType ?? 'q35';
  return [
    '-S',
    ...(restore === undefined ? [] : ['-incoming', 'defer']),
    ...['-name', `guest=${escapeOption(id)},debug-threads=on`],
    ...['-uuid', runtimeId],
    ...[
      '-machine',
      `${machine},memory-backend=ram${options.firmware === undefined ? '' : ',pflash0=code,pflash1=variables'}`,
    ],
    ...flash(options.firmware),
    ...(accelerator === 'kvm'
      ? ['-accel', 'kvm', '-cpu', 'host']
      : ['-accel', 'tcg,thread=multi', '-cpu', 'max']),
    '-nodefaults',
    '-no-user-config',
    ...['-display', 'none'],
    ...(options.sandbox
      ? ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny']
      : []),
    // The machine stays after its end, so that how it ended can be read. A guest that panics has to write its log.
    ...['-action', `shutdown=pause,panic=none,reboot=${plan.stopOnReset ? 'shutdown' : 'reset'}`],
    ...control(options),
    ...json('-object', {
      ...(restore?.ram === undefined
        ? { 'qom-type': 'memory-backend-memfd', share: true }
        : { 'qom-type': 'memory-backend-file', 'mem-path': restore.ram, share: false }),
      id: 'ram',
      size: plan.memoryMB * 1024 * 1024,
    }),
    ...['-m', `${plan.memoryMB}M`, '-smp', String(plan.processors)],
    ...(plan.kernel === undefined ? [] : ['-kernel', plan.kernel]),
    ...(plan.initrd === undefined ? [] : ['-initrd', plan.initrd]),
    ...(plan.commandLine === '' ? [] : ['-append', plan.commandLine]),
    ...plan.comPorts.flatMap((path, index) => comPort(index, path, options.listening)),
    ...json('-device', { driver: 'pvpanic-pci' }),
    ...json('-object', {
      'qom-type': 'memory-backend-file',
      id: 'crash-log',
      'mem-path': options.crashLog,
      size: CRASH_LOG_SIZE,
      share: true,
    }),
    ...json('-device', { driver: 'acpi-erst', memdev: 'crash-log' }),
    ...rootPorts(),
    ...disks(plan),
    ...plan.shares.flatMap(({ tag, path, readOnly }, index) => [
      '-fsdev',
      `local,id=fs${index},path=${escapeOption(path)},security_model=none,multidevs=remap${readOnly ? ',readonly=on' : ''}`,
      ...json('-device', { driver: 'virtio-9p-pci', fsdev: `fs${index}`, mount_tag: tag }),
    ]),
    ...(options.extraArgs ?? []),
  ];
}

/** QEMU connects to a socket of ours, so that nobody has to wait for one of QEMU's to appear. */
function control({ controlSocket, majorVersion }: CommandLineOptions): string[] {
  const chardev = ['-chardev', `socket,id=control,path=${escapeOption(controlSocket)},server=off`];
  return majorVersion >= 11
    ? [...chardev, '-object', 'monitor-qmp,id=qmp,chardev=control']
    : [...chardev, '-mon', 'chardev=control,mode=control'];
}

function flash(firmware: CommandLineOptions['firmware']): string[] {
  if (firmware === undefined) return [];
  return (['code', 'variables'] as const).flatMap((name) =>
    json('-blockdev', {
      driver: firmware[name].format,
      'node-name': name,
      'read-only': name === 'code',
      file: { driver: 'file', filename: firmware[name].path },
    }),
  );
}

function comPort(
  index: number,
  path: string | undefined,
  listening: ReadonlySet<string>,
): string[] {
  if (path === undefined) return ['-serial', 'none'];
  const role = listening.has(path) ? 'server=off' : 'server=on,wait=off';
  return [
    '-chardev',
    `socket,id=com${index + 1},path=${escapeOption(path)},${role}`,
    '-serial',
    `chardev:com${index + 1}`,
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

function disks({ disks: planned }: MachinePlan): string[] {
  const controllers = [...new Set(planned.map(({ controller }) => controller))];
  return [
    ...controllers.flatMap((controller) =>
      json('-device', { driver: 'virtio-scsi-pci', id: `scsi${controller}` }),
    ),
    ...planned.flatMap(({ controller, lun, path, format, readOnly, isIso }) => {
      const node = `disk${controller}-${lun}`;
      return [
        ...json('-blockdev', {
          driver: format,
          'node-name': node,
          'read-only': readOnly,
          file: { driver: 'file', filename: path },
        }),
        ...json('-device', {
          driver: isIso ? 'scsi-cd' : 'scsi-hd',
          bus: `scsi${controller}.0`,
          drive: node,
          'scsi-id': 0,
          lun,
        }),
      ];
    }),
  ];
}

function json(option: string, value: Readonly<Record<string, unknown>>): string[] {
  return [option, JSON.stringify(value)];
}

/** In a list of options a comma is written twice. */
function escapeOption(text: string): string {
  return text.replaceAll(',', ',,');
}
