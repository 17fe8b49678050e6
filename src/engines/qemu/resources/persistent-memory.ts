import type { ResourceChange } from '../../../compute/engine.ts';
import type { VirtualPMemController, VirtualPMemDevice } from '../../../hcs/schema/documents.ts';
import { PERSISTENT_MEMORY_FIELDS } from '../document-fields.ts';
import { imageFailure, requireImage } from '../image-file.ts';
import type { LiveMachine } from '../live-machine.ts';
import { requireAccess } from '../machine-access.ts';
import type { PlannedPersistentMemory } from '../machine-plan.ts';
import { objectBackend, type Part } from '../part.ts';
import { VHD_FOOTER_SIZE, VhdType, vhdFooterOf } from '../vhd-footer.ts';
import { cannotHonour, refuseFields, resourceFailure, wholeNumber } from './resource-failure.ts';

const MOST_DEVICES = 128;
/** Guests map persistent memory in pieces of this size (Linux, memremap_compat_align). */
const STEP = 2 * 1024 * 1024;

/** Devices of the document's controller. */
export function planPersistentMemory(
  controller: VirtualPMemController | undefined,
): readonly PlannedPersistentMemory[] {
  if (controller === undefined) return [];
  const at = '$.VirtualMachine.Devices.VirtualPMem';
  const { Devices = {}, MaximumCount, MaximumSizeBytes } = controller;
  const devices = Object.entries(Devices).map(([key, device]) =>
    planDevice(`${at}.Devices["${key}"]`, key, device),
  );
  if (MaximumCount !== undefined && devices.length > MaximumCount) {
    throw resourceFailure(
      'E_INVALIDARG',
      `${at}.Devices has ${devices.length} entries, and MaximumCount is ${MaximumCount}`,
    );
  }
  const large = devices.find(({ size }) => size > (MaximumSizeBytes ?? size));
  if (large !== undefined) {
    throw resourceFailure(
      'E_INVALIDARG',
      `${at}.Devices["${large.number}"] has ${large.size} bytes, and MaximumSizeBytes is ${MaximumSizeBytes}`,
    );
  }
  return devices;
}

function planDevice(at: string, key: string, device: VirtualPMemDevice): PlannedPersistentMemory {
  const number = wholeNumber(`${at} (the key)`, Number(key), MOST_DEVICES - 1, 0);
  refuseFields(at, 'VirtualPMemDevice', device, PERSISTENT_MEMORY_FIELDS);
  const { HostPath, ReadOnly = false, ImageFormat = 'Vhd1', SizeBytes } = device;
  if (ImageFormat !== 'Vhd1') {
    throw cannotHonour(
      `${at}.ImageFormat`,
      `"${ImageFormat}" cannot be mapped; write Vhd1 for a fixed VHD or a raw image`,
    );
  }
  if (HostPath === undefined) throw resourceFailure('E_INVALIDARG', `${at}.HostPath is missing`);
  const file = requireImage(`${at}.HostPath`, HostPath, !ReadOnly);
  const held = file.size - footerSize(`${at}.HostPath`, HostPath);
  const size = SizeBytes ?? held;
  if (size > held || size === 0 || size % STEP !== 0) {
    throw resourceFailure(
      'ERROR_INVALID_DATA',
      `${at}.HostPath is "${HostPath}", of which ${size} of ${held} bytes are to be mapped: persistent memory is a multiple of ${STEP} bytes; make the image longer (truncate -s %2M)`,
    );
  }
  return { number, path: HostPath, readOnly: ReadOnly, size };
}

/** A fixed VHD is a raw image with a footer; the others have tables in the midst of it. */
function footerSize(at: string, path: string): number {
  const footer = vhdFooterOf(path);
  if (footer === undefined) return 0;
  if (footer.diskType === VhdType.FIXED) return VHD_FOOTER_SIZE;
  throw resourceFailure(
    'ERROR_INVALID_DATA',
    `${at} is "${path}", a VHD that grows: only a fixed one can be mapped; make one of it (qemu-img convert -O vpc -o subformat=fixed)`,
  );
}

/** Persistent memory for QEMU. */
export function persistentMemoryPart(memory: PlannedPersistentMemory): Part {
  const id = `pmem${memory.number}`;
  return {
    id,
    backends: [
      objectBackend(`${id}-file`, 'memory-backend-file', {
        'mem-path': memory.path,
        size: memory.size,
        // A guest that writes to memory that it may not write to changes a copy, which ends with the machine.
        share: !memory.readOnly,
        readonly: memory.readOnly,
        ...(memory.readOnly ? { rom: 'off' } : {}),
      }),
    ],
    device: { driver: 'virtio-pmem-pci', memdev: `${id}-file` },
    isPci: true,
  };
}

/** Adds or removes persistent memory. */
export async function changePersistentMemory(
  machine: LiveMachine,
  { keys: [key = ''], request, settings }: ResourceChange,
): Promise<void> {
  const what = `persistent memory ${key}`;
  const there = machine.plan.persistentMemory.find(({ number }) => number === Number(key));
  const others = machine.plan.persistentMemory.filter((memory) => memory !== there);
  if (request === 'Remove') {
    if (there === undefined) {
      throw resourceFailure('ERROR_NOT_FOUND', `the machine has no ${what}`);
    }
    await machine.unplug(persistentMemoryPart(there), what);
    machine.plan = { ...machine.plan, persistentMemory: others };
    return;
  }
  if (there !== undefined) {
    throw resourceFailure('ERROR_ALREADY_EXISTS', `${what} is "${there.path}" already`);
  }
  const memory = planDevice('$.Settings', key, settings as VirtualPMemDevice);
  requireAccess(machine.user, '$.Settings.HostPath', memory.path, !memory.readOnly);
  try {
    await machine.plug(persistentMemoryPart(memory));
  } catch (error) {
    throw imageFailure('$.Settings.HostPath', memory.path, error);
  }
  machine.plan = { ...machine.plan, persistentMemory: [...others, memory] };
}
