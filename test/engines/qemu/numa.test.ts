import { describe, expect, test } from 'vitest';
import { planNuma } from '../../../src/engines/qemu/hardware/numa.ts';
import type { Topology } from '../../../src/hcs/schema/documents.ts';

const plan = (topology: Topology, memoryMB = 1000, processors = 4) =>
  planNuma('$', topology, memoryMB, processors);

describe('NUMA nodes', () => {
  test('share memory and processors out evenly, what is left with the last and the first', () => {
    expect(plan({ Numa: { VirtualNodeCount: 3 } }).numa.nodes).toEqual([
      { memoryMB: 332, processors: 2 },
      { memoryMB: 332, processors: 1 },
      { memoryMB: 336, processors: 1 },
    ]);
  });

  test('are as many as the largest that one may be asks for', () => {
    expect(plan({ Numa: { MaxSizePerNode: 400 } }).numa.nodes).toHaveLength(3);
    const Processor = {
      NumaProcessorsSettings: { count_per_node: { max: 2 }, node_per_socket: 2 },
    };
    const { numa } = plan({ Processor });
    expect(numa.nodes).toHaveLength(2);
    expect(numa.sockets).toBe(1);
  });

  test('lie on this machine where they are bound to, or as they prefer it in turn', () => {
    const bound = { VirtualNodeNumber: 0, CountOfMemoryBlocks: 1000, CountOfProcessors: 4 };
    expect(plan({ Numa: { Settings: [{ ...bound, PhysicalNodeNumber: 0 }] } }).places).toEqual([
      { hostNode: 0, isBound: true },
    ]);
    const preferring = plan({ Numa: { VirtualNodeCount: 2, PreferredPhysicalNodes: [0] } });
    expect(preferring.places).toEqual([
      { hostNode: 0, isBound: false },
      { hostNode: 0, isBound: false },
    ]);
  });

  const node = { VirtualNodeNumber: 0, CountOfMemoryBlocks: 1000, CountOfProcessors: 4 };
  test.each([
    [{ Numa: { Settings: [{ ...node, CountOfMemoryBlocks: 999 }] } }, 'add up to 999'],
    [{ Numa: { Settings: [{ ...node, CountOfProcessors: 3 }] } }, 'add up to 3'],
    [{ Numa: { Settings: [{ ...node, VirtualNodeNumber: 1 }] } }, 'number the nodes from 0'],
    [{ Numa: { Settings: [node], VirtualNodeCount: 2 } }, 'VirtualNodeCount is 2'],
    [{ Numa: { Settings: [{ ...node, VirtualSocketNumber: 2 }] } }, '3 sockets with 4 processors'],
    [{ Numa: { Settings: [{ ...node, PhysicalNodeNumber: 4000 }] } }, 'physical node 4000'],
    [{ Numa: { VirtualNodeCount: 200 } }, 'asks for 200 nodes'],
    [{ Memory: { SlitType: 'Measured' } }, 'nobody here measures'],
  ] as const)('%j is refused', (topology, reason) => {
    expect(() => plan(topology)).toThrow(reason);
  });
});
