// Longer than most files: what an attachment may be, and the three ways in which it changes.

import { statSync } from 'node:fs';
import type { ResourceChange } from '../../../compute/engine.ts';
import type { Attachment, Scsi, StorageQoS } from '../../../hcs/schema/documents.ts';
import { ATTACHMENT_FIELDS } from '../document-fields.ts';
import { imageFailure, requireImage } from '../image-file.ts';
import type { LiveMachine } from '../live-machine.ts';
import { requireDiskAccess } from '../machine-access.ts';
import type { PlannedDisk, PlannedStorageLimits } from '../machine-plan.ts';
import { type Backend, objectBackend, type Part } from '../part.ts';
import { cannotHonour, refuseFields, resourceFailure, wholeNumber } from './resource-failure.ts';

const LARGEST_LUN = 63;
const LIMITS_ID = 'storage-qos';

/** Controllers by name, and what is attached to them. */
export function planDisks(controllers: Readonly<Record<string, Scsi>>): readonly PlannedDisk[] {
  return Object.entries(controllers).flatMap(([name, { Attachments = {} }], controller) =>
    Object.entries(Attachments).map(([lun, attachment]) => {
      const at = `$.VirtualMachine.Devices.Scsi["${name}"].Attachments["${lun}"]`;
      return planDisk(at, controller, wholeNumber(`${at} (the key)`, Number(lun), LARGEST_LUN, 0), {
        ...attachment,
      });
    }),
  );
}

/** StorageQoS of a machine. */
export function planStorageLimits(
  limits: StorageQoS | undefined,
): PlannedStorageLimits | undefined {
  if (limits === undefined) return undefined;
  const at = '$.VirtualMachine.StorageQoS';
  const limit = (name: keyof StorageQoS): number =>
    wholeNumber(`${at}.${name}`, limits[name] ?? 0, Number.MAX_SAFE_INTEGER, 0);
  const planned = { operations: limit('IopsMaximum'), bytes: limit('BandwidthMaximum') };
  return planned.operations === 0 && planned.bytes === 0 ? undefined : planned;
}

function planDisk(at: string, controller: number, lun: number, given: Attachment): PlannedDisk {
  const {
    Type = 'VirtualDisk',
    Path,
    ReadOnly = false,
    CachingMode,
    IgnoreFlushes = false,
  } = given;
  if (Type !== 'VirtualDisk' && Type !== 'Iso') {
    throw cannotHonour(`${at}.Type`, `"${Type}" cannot be attached; VirtualDisk and Iso can`);
  }
  refuseFields(at, 'Attachment', given, ATTACHMENT_FIELDS);
  if (Path === undefined) throw resourceFailure('E_INVALIDARG', `${at}.Path is missing`);
  const readOnly = ReadOnly || Type === 'Iso';
  const format = Type === 'Iso' ? 'raw' : diskFormat(Path);
  const { size } = requireImage(`${at}.Path`, Path, !readOnly);
  if (format === 'raw' && size === 0 && statSync(Path).isFile()) {
    throw resourceFailure(
      'ERROR_INVALID_DATA',
      `${at}.Path is "${Path}": the file is empty; make an image of it (truncate -s 1G, qemu-img create)`,
    );
  }
  const isUncached = CachingMode === 'Uncached';
  return {
    controller,
    lun,
    path: Path,
    format,
    readOnly,
    isIso: Type === 'Iso',
    isUncached,
    ignoresFlushes: IgnoreFlushes,
  };
}

function diskFormat(path: string): PlannedDisk['format'] {
  if (/\.vhdx$/i.test(path)) return 'vhdx';
  if (/\.vhd$/i.test(path)) return 'vpc';
  return /\.qcow2$/i.test(path) ? 'qcow2' : 'raw';
}

/** The identifier of a disk, of its block node and of its device. */
export function diskId({ controller, lun }: Pick<PlannedDisk, 'controller' | 'lun'>): string {
  return `disk${controller}-${lun}`;
}

/** The group that all disks with limits are in. */
export function limitsArguments(limits: PlannedStorageLimits | undefined): string[] {
  if (limits === undefined) return [];
  const [, args] = objectBackend(LIMITS_ID, 'throttle-group', {
    limits: { 'iops-total': limits.operations, 'bps-total': limits.bytes },
  }).add;
  return ['-object', JSON.stringify(args)];
}

/** A disk for QEMU. */
export function diskPart(disk: PlannedDisk, limits: PlannedStorageLimits | undefined): Part {
  const { controller, lun, isIso } = disk;
  const id = diskId(disk);
  return {
    id,
    backends: [diskBackend(disk, id, limits)],
    device: {
      driver: isIso ? 'scsi-cd' : 'scsi-hd',
      bus: `scsi${controller}.0`,
      drive: id,
      'scsi-id': 0,
      lun,
    },
    isPci: false,
  };
}

function diskBackend(
  disk: PlannedDisk,
  node: string,
  limits: PlannedStorageLimits | undefined,
): Backend {
  const { format, readOnly, path, isUncached, ignoresFlushes } = disk;
  const cache =
    isUncached || ignoresFlushes
      ? { cache: { direct: isUncached, 'no-flush': ignoresFlushes } }
      : {};
  const image = {
    driver: format,
    'read-only': readOnly,
    ...cache,
    file: {
      driver: 'file',
      filename: path,
      ...cache,
    },
  };
  const args =
    limits === undefined
      ? { ...image, 'node-name': node }
      : {
          driver: 'throttle',
          'node-name': node,
          'throttle-group': LIMITS_ID,
          'read-only': readOnly,
          file: image,
        };
  return {
    option: '-blockdev',
    add: ['blockdev-add', args],
    remove: ['blockdev-del', { 'node-name': node }],
  };
}

/** Adds, removes or changes an attachment. */
export async function changeAttachment(
  machine: LiveMachine,
  { keys: [name = '', key = ''], request, settings }: ResourceChange,
): Promise<void> {
  const controller = controllerNumber(machine, name);
  const lun = wholeNumber('The attachment in $.ResourcePath', Number(key), LARGEST_LUN, 0);
  const what = `attachment ${lun} of controller "${name}"`;
  const there = machine.plan.disks.find(
    (disk) => disk.controller === controller && disk.lun === lun,
  );
  if (request === 'Add') {
    if (there !== undefined) {
      throw resourceFailure(
        'ERROR_ALREADY_EXISTS',
        `${what} is "${there.path}" already: remove it first, or use another number`,
      );
    }
    await add(machine, planDisk('$.Settings', controller, lun, settings as Attachment));
    return;
  }
  if (there === undefined) {
    throw resourceFailure('ERROR_NOT_FOUND', `the machine has no ${what}`);
  }
  if (request === 'Remove') {
    await machine.unplug(diskPart(there, machine.plan.storageLimits), what);
    replace(machine, there, undefined);
    return;
  }
  await update(
    machine,
    what,
    there,
    planDisk('$.Settings', controller, lun, settings as Attachment),
  );
}

function controllerNumber({ plan: { controllers } }: LiveMachine, name: string): number {
  const number = controllers.findIndex((other) => other.toLowerCase() === name.toLowerCase());
  if (number >= 0) return number;
  const known =
    controllers.length === 0
      ? 'it has none: write VirtualMachine.Devices.Scsi in its document'
      : `it has ${controllers.map((other) => `"${other}"`).join(', ')}`;
  throw resourceFailure(
    'ERROR_NOT_FOUND',
    `the machine has no SCSI controller "${name}"; ${known}`,
  );
}

async function add(machine: LiveMachine, disk: PlannedDisk): Promise<void> {
  requireDiskAccess(machine.user, '$.Settings.Path', disk);
  try {
    await machine.plug(diskPart(disk, machine.plan.storageLimits));
  } catch (error) {
    throw imageFailure('$.Settings.Path', disk.path, error);
  }
  machine.plan = { ...machine.plan, disks: [...machine.plan.disks, disk] };
}

function replace(machine: LiveMachine, old: PlannedDisk, disk: PlannedDisk | undefined): void {
  const others = machine.plan.disks.filter((other) => other !== old);
  machine.plan = { ...machine.plan, disks: disk === undefined ? others : [...others, disk] };
}

async function update(
  machine: LiveMachine,
  what: string,
  old: PlannedDisk,
  disk: PlannedDisk,
): Promise<void> {
  if (old.isIso !== disk.isIso || old.readOnly !== disk.readOnly) {
    throw resourceFailure(
      'ERROR_NOT_SUPPORTED',
      `Type and ReadOnly of ${what} cannot be changed: remove it and add it again`,
    );
  }
  if (disk.isIso) {
    await changeMedium(machine, old, disk);
  } else if (old.path !== disk.path) {
    throw resourceFailure(
      'ERROR_NOT_SUPPORTED',
      `${what} is "${old.path}": the image of a disk cannot be changed; remove it and add it again`,
    );
  } else {
    await grow(machine, what, disk);
  }
  replace(machine, old, disk);
}

/** Opens the tray, whatever the guest says of it, and puts another medium in. */
async function changeMedium(
  machine: LiveMachine,
  old: PlannedDisk,
  disk: PlannedDisk,
): Promise<void> {
  const { qmp } = machine;
  const id = diskId(disk);
  if (old.path === disk.path) return;
  requireDiskAccess(machine.user, '$.Settings.Path', disk);
  // The node of the medium that is there has the name that the new one is to have.
  const draft = `${id}-next`;
  const { add, remove } = diskBackend(disk, draft, machine.plan.storageLimits);
  const { args, back } = await machine.files.lend(qmp, add[1]);
  try {
    await qmp.execute(add[0], args);
  } catch (error) {
    await back();
    throw imageFailure('$.Settings.Path', disk.path, error);
  }
  await qmp.execute(...remove);
  await qmp.execute('blockdev-open-tray', { id, force: true });
  await qmp.execute('blockdev-remove-medium', { id });
  await qmp.execute('blockdev-del', { 'node-name': id });
  await qmp.execute(add[0], { ...args, 'node-name': id });
  await qmp.execute('blockdev-insert-medium', { id, 'node-name': id });
  await qmp.execute('blockdev-close-tray', { id });
  await machine.keep(id, [back]);
}

/** Tells the guest that the image has grown. */
async function grow(machine: LiveMachine, what: string, disk: PlannedDisk): Promise<void> {
  if (disk.format !== 'raw') {
    throw resourceFailure(
      'ERROR_NOT_SUPPORTED',
      `${what} is "${disk.path}": a ${disk.format} image cannot grow while a machine has it; remove it, "qemu-img resize" it, and add it again`,
    );
  }
  const { size } = statSync(disk.path);
  await machine.qmp.execute('block_resize', { 'node-name': diskId(disk), size });
}
