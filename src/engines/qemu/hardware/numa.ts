import { readFileSync } from 'node:fs';
import type {
  Numa,
  NumaSetting,
  Topology,
  VirtualSlitType,
} from '../../../hcs/schema/documents.ts';
import { cannotHonour, resourceFailure } from '../resources/resource-failure.ts';

/** How the guest's memory and processors lie together. */
export interface PlannedNuma {
  /** Empty: the machine is one piece. */
  readonly nodes: readonly PlannedNode[];
  /** Packages that the processors are in, as many in each. Undefined: QEMU's way. */
  readonly sockets: number | undefined;
  /** ACPI SLIT: from node to node, 10 is a node itself. Undefined: the guest has no such table. */
  readonly distances: readonly (readonly number[])[] | undefined;
}

/** Memory and processors that are near to each other. */
export interface PlannedNode {
  readonly memoryMB: number;
  readonly processors: number;
}

/** Where the memory of a guest's node lies on this machine. */
export interface PlannedPlace {
  readonly hostNode: number;
  /** Whether it lies there or nowhere. */
  readonly isBound: boolean;
}

/** What {@link planNuma} reads. */
export interface NumaPlan {
  readonly numa: PlannedNuma;
  /** By the guest's nodes, or one for all; undefined: anywhere. */
  readonly places: readonly (PlannedPlace | undefined)[];
}

/** QEMU, MAX_NODES. */
const MOST_NODES = 128;
const LOCAL = 10;
const REMOTE = 20;
/** Memory is given in pieces of this. */
const STEP_MB = 2;
const NODES = '/sys/devices/system/node';

/**
 * Reads Numa of a document, with what Memory and Processor say of nodes.
 * @param at path of `topology`
 * @throws HcsError E_INVALIDARG for nodes that do not add up to the machine, or lie on no node of this one
 */
export function planNuma(
  at: string,
  { Numa = {}, Memory = {}, Processor = {} }: Topology,
  memoryMB: number,
  processors: number,
): NumaPlan {
  const perNode = Processor.NumaProcessorsSettings?.count_per_node?.max ?? 0;
  const perSocket = Processor.NumaProcessorsSettings?.node_per_socket ?? 0;
  const settings = sortedSettings(`${at}.Numa.Settings`, Numa, memoryMB, processors);
  const count = settings?.length ?? nodeCount(`${at}.Numa`, Numa, memoryMB, processors, perNode);
  const nodes =
    settings?.map(({ CountOfMemoryBlocks = 0, CountOfProcessors = 0 }) => ({
      memoryMB: CountOfMemoryBlocks,
      processors: CountOfProcessors,
    })) ?? evenNodes(count, memoryMB, processors);
  const preferred = Numa.PreferredPhysicalNodes ?? [];
  const places = Array.from({ length: Math.max(1, count) }, (_, i) =>
    placeOf(`${at}.Numa`, settings?.[i]?.PhysicalNodeNumber, preferred[i % preferred.length]),
  );
  const sockets = socketCount(settings, nodes.length, perSocket);
  if (sockets !== undefined && processors % sockets !== 0) {
    throw resourceFailure(
      'E_INVALIDARG',
      `${at} asks for ${sockets} sockets with ${processors} processors: all sockets have as many, so make Processor.Count a multiple`,
    );
  }
  const distances = distancesOf(`${at}.Memory.SlitType`, Memory.SlitType, nodes.length, places);
  return { numa: { nodes, sockets, distances }, places };
}

/** Settings by the guest's nodes. */
function sortedSettings(
  at: string,
  { Settings = [], VirtualNodeCount }: Numa,
  memoryMB: number,
  processors: number,
): readonly NumaSetting[] | undefined {
  if (Settings.length === 0) return undefined;
  const sorted = [...Settings].sort(
    (a, b) => (a.VirtualNodeNumber ?? -1) - (b.VirtualNodeNumber ?? -1),
  );
  const wrong = sorted.findIndex(({ VirtualNodeNumber }, i) => VirtualNodeNumber !== i);
  const sum = (name: 'CountOfMemoryBlocks' | 'CountOfProcessors'): number =>
    sorted.reduce((total, setting) => total + (setting[name] ?? 0), 0);
  const problem =
    wrong >= 0 || sorted.length > MOST_NODES
      ? `number the nodes from 0 to ${sorted.length - 1} by VirtualNodeNumber, of ${MOST_NODES} at most`
      : sorted.length !== (VirtualNodeCount ?? sorted.length)
        ? `there are ${sorted.length}, and VirtualNodeCount is ${VirtualNodeCount}`
        : sum('CountOfMemoryBlocks') !== memoryMB
          ? `the CountOfMemoryBlocks, which are MiB, add up to ${sum('CountOfMemoryBlocks')}, and Memory.SizeInMB is ${memoryMB}`
          : sum('CountOfProcessors') !== processors
            ? `the CountOfProcessors add up to ${sum('CountOfProcessors')}, and Processor.Count is ${processors}`
            : sorted.some(({ CountOfMemoryBlocks = 0 }) => CountOfMemoryBlocks === 0)
              ? 'every node has memory: write its MiB as CountOfMemoryBlocks'
              : undefined;
  if (problem === undefined) return sorted;
  throw resourceFailure('E_INVALIDARG', `${at}: ${problem}`);
}

/** 0: the document asks for none. */
function nodeCount(
  at: string,
  { VirtualNodeCount = 0, MaxSizePerNode = 0 }: Numa,
  memoryMB: number,
  processors: number,
  perNode: number,
): number {
  const least = Math.max(
    VirtualNodeCount,
    MaxSizePerNode === 0 ? 0 : Math.ceil(memoryMB / MaxSizePerNode),
    perNode === 0 ? 0 : Math.ceil(processors / perNode),
  );
  if (least <= Math.min(MOST_NODES, Math.floor(memoryMB / STEP_MB))) return least;
  throw resourceFailure(
    'E_INVALIDARG',
    `${at} asks for ${least} nodes: a machine has up to ${MOST_NODES}, of ${STEP_MB} MiB at least`,
  );
}

function evenNodes(count: number, memoryMB: number, processors: number): readonly PlannedNode[] {
  const share = Math.floor(memoryMB / count / STEP_MB) * STEP_MB;
  return Array.from({ length: count }, (_, i) => ({
    memoryMB: i === count - 1 ? memoryMB - share * (count - 1) : share,
    processors: Math.floor(processors / count) + (i < processors % count ? 1 : 0),
  }));
}

function placeOf(
  at: string,
  bound: number | undefined,
  preferred: number | undefined,
): PlannedPlace | undefined {
  const hostNode = bound ?? preferred;
  if (hostNode === undefined) return undefined;
  if (hostDistances(hostNode) !== undefined) return { hostNode, isBound: bound !== undefined };
  throw resourceFailure(
    'E_INVALIDARG',
    `${at} names the physical node ${hostNode}, which this machine has not: ${NODES} has those that are there`,
  );
}

/** Distances from a node of this machine. Undefined: there is no such node. */
function hostDistances(node: number): readonly number[] | undefined {
  try {
    return readFileSync(`${NODES}/node${node}/distance`, 'utf8').trim().split(/\s+/).map(Number);
  } catch {
    return node === 0 ? [LOCAL] : undefined;
  }
}

function socketCount(
  settings: readonly NumaSetting[] | undefined,
  nodes: number,
  perSocket: number,
): number | undefined {
  const numbers = settings?.flatMap(({ VirtualSocketNumber }) => VirtualSocketNumber ?? []) ?? [];
  if (numbers.length > 0) return Math.max(...numbers) + 1;
  return perSocket === 0 ? undefined : Math.max(1, Math.ceil(nodes / perSocket));
}

function distancesOf(
  at: string,
  type: VirtualSlitType = 'None',
  count: number,
  places: readonly (PlannedPlace | undefined)[],
): PlannedNuma['distances'] {
  if (type === 'None') return undefined;
  if (type === 'Measured') {
    throw cannotHonour(at, 'nobody here measures how far nodes are apart; use Firmware');
  }
  const between = (from: number, to: number): number => {
    if (from === to) return LOCAL;
    const [a, b] = [places[from]?.hostNode, places[to]?.hostNode];
    const known = a === undefined || b === undefined ? undefined : hostDistances(a)?.[b];
    // Two nodes of a guest on one of this machine are two all the same.
    return known === undefined || known <= LOCAL ? REMOTE : known;
  };
  return Array.from({ length: count }, (_, from) =>
    Array.from({ length: count }, (__, to) => between(from, to)),
  );
}
