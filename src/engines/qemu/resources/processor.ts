import type { ResourceChange } from '../../../compute/engine.ts';
import { setProcessorAffinity } from '../../../ffi/processor-affinity.ts';
import type { ProcessorLimits } from '../../../hcs/schema/documents.ts';
import type { LiveMachine } from '../live-machine.ts';
import type { PlannedProcessorLimits } from '../machine-plan.ts';
import { ProcessorCgroup } from '../processor-cgroup.ts';
import { allowedProcessors, processorThreads } from '../processor-threads.ts';
import { cannotHonour, resourceFailure, wholeNumber } from './resource-failure.ts';

const ALL = 100_000;
const LARGEST_WEIGHT = 10_000;
/** Reads limits, of a document or a request. */
export function planProcessorLimits(at: string, limits: ProcessorLimits): PlannedProcessorLimits {
  const { Limit = 0, Weight = 0, Reservation = 0, MaximumFrequencyMHz = 0 } = limits;
  if (Reservation !== 0) {
    throw cannotHonour(`${at}.Reservation`, 'Linux reserves no processor time; use Weight');
  }
  if (MaximumFrequencyMHz !== 0) {
    throw cannotHonour(`${at}.MaximumFrequencyMHz`, 'frequencies are those of all processes');
  }
  return {
    limit: wholeNumber(`${at}.Limit`, Limit, ALL, 0),
    weight: wholeNumber(`${at}.Weight`, Weight, LARGEST_WEIGHT, 0),
  };
}

/** Sets what a machine may use, by a control group of its process. */
export async function limitProcessors(
  machine: LiveMachine,
  limits: PlannedProcessorLimits,
): Promise<void> {
  if (machine.processorCgroup === undefined) {
    const { owned } = machine.folder;
    const cgroup = ProcessorCgroup.create(machine.pid, (name) =>
      owned?.add({ kind: 'controlGroup', name }),
    );
    machine.processorCgroup = cgroup;
    machine.atEnd(async () => {
      if (await cgroup.remove()) owned?.remove({ kind: 'controlGroup', name: cgroup.path });
    });
  }
  machine.processorCgroup.limit(
    limits.limit === 0 ? undefined : (limits.limit / ALL) * machine.plan.processors,
    limits.weight === 0 ? undefined : limits.weight,
  );
}

/** Changes Processor/Limits. */
export async function changeProcessorLimits(
  machine: LiveMachine,
  { settings }: ResourceChange,
): Promise<void> {
  const processorLimits = planProcessorLimits('$.Settings', settings as ProcessorLimits);
  await limitProcessors(machine, processorLimits);
  machine.plan = { ...machine.plan, processorLimits }; // Whoever takes the machine over sets them again.
}

/** A place for a virtual processor, as QEMU wants it to be named. */
interface ProcessorSlot {
  readonly type: string;
  readonly props: Readonly<Record<string, number>>;
  /** Where one is there. */
  readonly 'qom-path'?: string;
}

/**
 * Adds virtual processors to those that are there, which run where these may. A guest brings them online itself (Linux:
 * /sys/devices/system/cpu/cpu<number>/online, or a rule of udev).
 */
export async function changeProcessorCount(
  machine: LiveMachine,
  { settings }: ResourceChange,
): Promise<void> {
  const { qmp, pid, plan } = machine;
  const slots = (await qmp.execute('query-hotpluggable-cpus')) as readonly ProcessorSlot[];
  const wanted = wholeNumber('$.Settings', settings as number, slots.length);
  const free = slots.filter((slot) => slot['qom-path'] === undefined).sort(byPlace);
  const before = slots.length - free.length;
  if (wanted < before) {
    throw resourceFailure(
      'ERROR_NOT_SUPPORTED',
      `$.Settings is ${wanted}, and the machine has ${before} processors, of which none goes again: limit them by Processor/Limits`,
    );
  }
  const [thread = 0] = await processorThreads(qmp);
  const allowed = allowedProcessors(pid, thread);
  let processors = before;
  try {
    for (const { type, props } of free.slice(0, wanted - before)) {
      await qmp.execute('device_add', { driver: type, id: `processor${processors}`, ...props });
      processors++;
    }
  } finally {
    machine.plan = { ...plan, processors };
  }
  await bindProcessors(machine, allowed);
  if (plan.processorLimits !== undefined) await limitProcessors(machine, plan.processorLimits);
}

/** Those that a machine would begin with come first. */
function byPlace({ props: one }: ProcessorSlot, { props: other }: ProcessorSlot): number {
  for (const level of ['socket-id', 'die-id', 'core-id', 'thread-id']) {
    const difference = (one[level] ?? 0) - (other[level] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Binds the virtual processors to the processors of the group that the service found. */
export async function changeCpuGroup(
  machine: LiveMachine,
  { logicalProcessors }: ResourceChange,
): Promise<void> {
  if (logicalProcessors !== undefined) await bindProcessors(machine, logicalProcessors);
}

/** Lets the virtual processors run on some of the host's processors only. */
export async function bindProcessors(
  { qmp }: LiveMachine,
  processors: readonly number[],
): Promise<void> {
  for (const thread of await processorThreads(qmp)) setProcessorAffinity(thread, processors);
}
