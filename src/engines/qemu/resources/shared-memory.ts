import type { ResourceChange } from '../../../compute/engine.ts';
import type { SharedMemoryRegion, SharedMemoryRegionInfo } from '../../../hcs/schema/documents.ts';
import { requireImage } from '../image-file.ts';
import type { LiveMachine } from '../live-machine.ts';
import { requireAccess } from '../machine-access.ts';
import { SHARED_MEMORY_FOLDER as FOLDER, type PlannedSharedRegion } from '../machine-plan.ts';
import { objectBackend, type Part } from '../part.ts';
import { cannotHonour, resourceFailure, wholeNumber } from './resource-failure.ts';

/** Namespaces of Windows, which has one of the names' own. */
const NAMESPACE = /^(Global\\|\\BaseNamedObjects\\)/;
const PAGE = 4096;
/** BAR of ivshmem with the memory. */
const BAR = 2;

/** Regions of the document. */
export function planSharedMemory(
  regions: readonly SharedMemoryRegion[],
): readonly PlannedSharedRegion[] {
  return regions.map((region, index) =>
    planRegion(`$.VirtualMachine.Devices.SharedMemory.Regions[${index}]`, region),
  );
}

function nameOf(at: string, section: string | undefined): string {
  const name = section?.replace(NAMESPACE, '');
  if (name !== undefined && /^[A-Za-z0-9_][\w.-]{0,100}$/.test(name)) return name;
  throw resourceFailure(
    'E_INVALIDARG',
    `${at}.SectionName is ${section === undefined ? 'missing' : `"${section}"`}: name a file in ${FOLDER}, of letters, digits, ".", "_" and "-"`,
  );
}

function planRegion(at: string, region: SharedMemoryRegion): PlannedSharedRegion {
  const { SectionName, StartOffset = 0, Length, AllowGuestWrite = false, HiddenFromGuest } = region;
  const name = nameOf(at, SectionName);
  if (HiddenFromGuest === true) {
    throw cannotHonour(`${at}.HiddenFromGuest`, 'the region is a device that the guest sees');
  }
  const { size } = requireImage(`${at}.SectionName`, `${FOLDER}/${name}`, AllowGuestWrite);
  const offset = wholeNumber(`${at}.StartOffset`, StartOffset, size, 0);
  const length = Length ?? size - offset;
  // The size of a BAR: PCI 3.0, 6.2.5.1.
  if (length < PAGE || (length & (length - 1)) !== 0 || length > 2 ** 30 || offset % PAGE !== 0) {
    throw resourceFailure(
      'E_INVALIDARG',
      `${at} has ${length} bytes from ${offset}: use a power of two from ${PAGE} to 1073741824, from a multiple of ${PAGE}`,
    );
  }
  if (offset + length > size) {
    throw resourceFailure(
      'ERROR_INVALID_DATA',
      `${at} ends at ${offset + length}, and ${FOLDER}/${name} has ${size} bytes: make the file longer`,
    );
  }
  return { section: SectionName!, name, offset, length, guestWrites: AllowGuestWrite };
}

/** A region for QEMU. */
export function sharedRegionPart(region: PlannedSharedRegion): Part {
  const id = `shm-${region.name}`;
  return {
    id,
    backends: [
      objectBackend(`${id}-file`, 'memory-backend-file', {
        'mem-path': `${FOLDER}/${region.name}`,
        offset: region.offset,
        size: region.length,
        share: true,
        readonly: !region.guestWrites,
      }),
    ],
    device: { driver: 'ivshmem-plain', memdev: `${id}-file` },
    isPci: true,
  };
}

/** Adds or removes a region. */
export async function changeSharedMemory(
  machine: LiveMachine,
  { request, settings }: ResourceChange,
): Promise<void> {
  const given = settings as SharedMemoryRegion;
  const name = nameOf('$.Settings', given.SectionName);
  const what = `shared memory region ${given.SectionName}`;
  const there = machine.plan.sharedMemory.find((region) => region.name === name);
  const others = machine.plan.sharedMemory.filter((region) => region !== there);
  if (request === 'Remove') {
    if (there === undefined) {
      throw resourceFailure('ERROR_NOT_FOUND', `the machine has no ${what}`);
    }
    await machine.unplug(sharedRegionPart(there), what);
    machine.plan = { ...machine.plan, sharedMemory: others };
    return;
  }
  if (there !== undefined) {
    throw resourceFailure('ERROR_ALREADY_EXISTS', `the machine has ${what} already`);
  }
  const region = planRegion('$.Settings', given);
  requireAccess(machine.user, '$.Settings.SectionName', `${FOLDER}/${name}`, region.guestWrites);
  await machine.plug(sharedRegionPart(region));
  machine.plan = { ...machine.plan, sharedMemory: [...others, region] };
}

interface PciDevice {
  readonly qdev_id?: string;
  readonly regions?: readonly { readonly bar: number; readonly address: number }[];
  readonly pci_bridge?: { readonly devices?: readonly PciDevice[] };
}

/** Where the guest has put the regions: those that it has not placed are left out. */
export async function sharedMemoryRegions({
  plan,
  qmp,
}: LiveMachine): Promise<readonly SharedMemoryRegionInfo[]> {
  if (plan.sharedMemory.length === 0) return [];
  const buses = (await qmp.execute('query-pci')) as readonly { devices: readonly PciDevice[] }[];
  const devices = buses.flatMap((bus) => bus.devices.flatMap(withThoseBehind));
  return plan.sharedMemory.flatMap((region) => {
    const device = devices.find(({ qdev_id }) => qdev_id === sharedRegionPart(region).id);
    const address = device?.regions?.find(({ bar }) => bar === BAR)?.address ?? -1;
    return address < 0 ? [] : [{ SectionName: region.section, GuestPhysicalAddress: address }];
  });
}

function withThoseBehind(device: PciDevice): readonly PciDevice[] {
  return [device, ...(device.pci_bridge?.devices ?? []).flatMap(withThoseBehind)];
}
