import type { PlannedNuma, PlannedPlace } from './numa.ts';
import { mostProcessors } from './processor-room.ts';

const MIB = 1024 * 1024;

/** What {@link memoryArguments} are made of. */
export interface MemoryBackends {
  readonly numa: PlannedNuma;
  readonly places: readonly (PlannedPlace | undefined)[];
  readonly processors: number;
  /** MiB that the machine starts with. */
  readonly baseMB: number;
  /** Descriptors of the files in QEMU, by node. */
  readonly descriptors: readonly number[];
  /** Whether the machine gets a private copy on write of the RAM of a template. */
  readonly isClone: boolean;
}

/** MiB of the files that are the guest's memory: one for each node. */
export function memorySizes({ nodes }: PlannedNuma, baseMB: number): readonly number[] {
  return nodes.length === 0 ? [baseMB] : nodes.map(({ memoryMB }) => memoryMB);
}

/** What is said of memory among the properties of QEMU's machine: `,NAME=VALUE`, or nothing. */
export function memoryProperties({ nodes }: PlannedNuma): string {
  return nodes.length === 0 ? ',memory-backend=ram' : '';
}

/**
 * QEMU's arguments for the memory, its nodes and the processors in them. RAM is files in memory that device processes map,
 * each of which is one region of the guest: QEMU tells devices offsets from the beginning of a region.
 */
export function memoryArguments(backends: MemoryBackends): string[] {
  const { numa, places, processors, baseMB, descriptors, isClone } = backends;
  const { nodes, sockets, distances = [] } = numa;
  let first = 0;
  const most = mostProcessors(numa, processors);
  const topology = sockets === undefined ? '' : `,sockets=${sockets},cores=${most / sockets}`;
  return [
    ...memorySizes(numa, baseMB).flatMap((sizeMB, i) => [
      '-object',
      JSON.stringify({
        // By a path, although it has none: QEMU leaves only memory with one out of the state of a template.
        'qom-type': 'memory-backend-file',
        'mem-path': `/proc/self/fd/${descriptors[i]}`,
        // A template's is its own: clones may read it.
        ...(isClone ? { share: false, readonly: true, rom: 'off' } : { share: true }),
        id: nodes.length === 0 ? 'ram' : `ram${i}`,
        size: sizeMB * MIB,
        ...policy(places[i]),
      }),
    ]),
    ...['-smp', `${processors},maxcpus=${most}${topology}`],
    ...nodes.flatMap(({ processors: count }, i) => {
      const range = count === 0 ? '' : `,cpus=${first}-${first + count - 1}`;
      first += count;
      return ['-numa', `node,nodeid=${i},memdev=ram${i}${range}`];
    }),
    ...distances.flatMap((row, src) =>
      row.flatMap((val, dst) => ['-numa', `dist,src=${src},dst=${dst},val=${val}`]),
    ),
  ];
}

function policy(place: PlannedPlace | undefined): Readonly<Record<string, unknown>> {
  if (place === undefined) return {};
  return { 'host-nodes': [place.hostNode], policy: place.isBound ? 'bind' : 'preferred' };
}
