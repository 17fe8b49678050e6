import type { ResourceChange } from '../../../compute/engine.ts';
import type { LiveMachine } from '../live-machine.ts';
import { objectBackend, type Part } from '../part.ts';
import type { QmpClient } from '../qmp.ts';
import { resourceFailure } from './resource-failure.ts';
import { settle } from './settle.ts';

const MIB = 1024 * 1024;
/** Blocks in which virtio-mem gives and takes memory. */
const STEP_MB = 2;
/** Id of the device of memory that comes later. */
export const HOT_MEMORY_ID = 'hot-memory';
const BALLOON_ID = 'balloon';
/** With less a Linux guest ends programs. */
const LEAST_MB = 64;

/** Memory that comes and goes above what the machine started with: shared, so that processes of devices map it. */
export function hotMemoryPart(roomMB: number, pluggedMB: number): Part {
  return {
    id: HOT_MEMORY_ID,
    backends: [
      objectBackend(`${HOT_MEMORY_ID}-ram`, 'memory-backend-memfd', {
        size: roomMB * MIB,
        share: true,
        reserve: false,
      }),
    ],
    device: {
      driver: 'virtio-mem-pci',
      memdev: `${HOT_MEMORY_ID}-ram`,
      'requested-size': pluggedMB * MIB,
    },
    isPci: true,
  };
}

/** Takes memory from the guest below what it started with, and tells what the guest does with it. */
export const BALLOON_PART: Part = {
  id: BALLOON_ID,
  backends: [],
  device: { driver: 'virtio-balloon-pci' },
  isPci: true,
};

/** Changes how much memory the guest has. Before the start it is what the guest will be asked for. */
export async function changeMemory(
  machine: LiveMachine,
  { settings }: ResourceChange,
): Promise<void> {
  const wanted = settings as number;
  const { baseMemoryMB: base, memoryRoomMB: room, plan } = machine;
  if (plan.hardware.numa.nodes.length > 0) {
    throw resourceFailure(
      'ERROR_NOT_SUPPORTED',
      'the memory of a machine with NUMA nodes stays as it is: leave out Numa',
    );
  }
  const most = base + room;
  if (!Number.isInteger(wanted) || wanted % STEP_MB !== 0 || wanted < LEAST_MB || wanted > most) {
    throw resourceFailure(
      'E_INVALIDARG',
      `$.Settings is ${wanted}: use a multiple of ${STEP_MB} from ${LEAST_MB} to ${most} (the ${base} that the machine started with, and room for ${room})`,
    );
  }
  const before = plan.memoryMB;
  try {
    await setMemory(machine, wanted);
  } catch (error) {
    // What the guest has not done yet it is not to do later.
    await ask(machine, before).catch(() => undefined);
    throw error;
  }
  machine.plan = { ...machine.plan, memoryMB: wanted };
}

async function setMemory(machine: LiveMachine, wanted: number): Promise<void> {
  const { baseMemoryMB: base, ports, qmp } = machine;
  if (wanted > base && !ports.has(HOT_MEMORY_ID)) {
    await machine.plug(hotMemoryPart(machine.memoryRoomMB, 0));
  }
  if (wanted < base && !ports.has(BALLOON_ID)) await machine.plug(BALLOON_PART);
  await ask(machine, wanted);
  if (!machine.hasStarted) return;
  if (ports.has(HOT_MEMORY_ID)) {
    const hot = Math.max(0, wanted - base);
    await settle(
      async () => (await pluggedMB(qmp)) === hot,
      `take or give up memory above ${base} MiB`,
      machine.guestLimit,
    );
  }
  if (ports.has(BALLOON_ID)) {
    const below = Math.min(base, wanted);
    await settle(
      async () => (await balloonMB(qmp)) === below,
      `give up or take back memory of its ${base} MiB`,
      machine.guestLimit,
    );
  }
}

async function ask({ baseMemoryMB, ports, qmp }: LiveMachine, wanted: number): Promise<void> {
  if (ports.has(HOT_MEMORY_ID)) {
    await qmp.execute('qom-set', {
      path: `/machine/peripheral/${HOT_MEMORY_ID}`,
      property: 'requested-size',
      value: Math.max(0, wanted - baseMemoryMB) * MIB,
    });
  }
  if (ports.has(BALLOON_ID)) {
    await qmp.execute('balloon', { value: Math.min(baseMemoryMB, wanted) * MIB });
  }
}

interface MemoryDevice {
  readonly data: { readonly id?: string; readonly size: number; readonly memaddr?: number };
}

async function memoryDevices(qmp: QmpClient): Promise<readonly MemoryDevice[]> {
  return (await qmp.execute('query-memory-devices')) as readonly MemoryDevice[];
}

/** Guest-physical addresses of memory that is a device, by the device's id. */
export async function memoryAddresses(qmp: QmpClient): Promise<Readonly<Record<string, number>>> {
  const devices = await memoryDevices(qmp);
  return Object.fromEntries(
    devices.flatMap(({ data: { id, memaddr } }) =>
      id === undefined || memaddr === undefined ? [] : [[id, memaddr]],
    ),
  );
}

async function pluggedMB(qmp: QmpClient): Promise<number> {
  const devices = await memoryDevices(qmp);
  const hot = devices.find(({ data }) => data.id === HOT_MEMORY_ID);
  return (hot?.data.size ?? 0) / MIB;
}

async function balloonMB(qmp: QmpClient): Promise<number> {
  const { actual } = (await qmp.execute('query-balloon')) as { readonly actual: number };
  return actual / MIB;
}

/** MiB of memory that the guest has now. */
export async function assignedMemoryMB({ baseMemoryMB, ports, qmp }: LiveMachine): Promise<number> {
  const below = ports.has(BALLOON_ID) ? await balloonMB(qmp) : baseMemoryMB;
  return below + (ports.has(HOT_MEMORY_ID) ? await pluggedMB(qmp) : 0);
}

/** What statistics say that a guest does not tell (QEMU, qapi: guest-stats). */
const UNKNOWN = 2 ** 63;

/**
 * What the guest tells of its memory, in bytes. Undefined without a balloon, as long as the guest has told nothing.
 */
export async function guestMemory({ ports, qmp }: LiveMachine): Promise<unknown> {
  if (!ports.has(BALLOON_ID)) return undefined;
  const path = `/machine/peripheral/${BALLOON_ID}`;
  await qmp.execute('qom-set', { path, property: 'guest-stats-polling-interval', value: 1 });
  const { stats } = (await qmp.execute('qom-get', { path, property: 'guest-stats' })) as {
    readonly stats: Readonly<Record<string, number>>;
  };
  const told = Object.entries({
    TotalMemory: stats['stat-total-memory'],
    FreeMemory: stats['stat-free-memory'],
    AvailableMemory: stats['stat-available-memory'],
    DiskCaches: stats['stat-disk-caches'],
    MajorFaults: stats['stat-major-faults'],
    MinorFaults: stats['stat-minor-faults'],
  }).filter(([, value]) => value !== undefined && value < UNKNOWN);
  return told.length === 0 ? undefined : Object.fromEntries(told);
}
