import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { linuxHostInformation } from '../../../src/engines/qemu/linux-host-information.ts';

const root = mkdtempSync(join(tmpdir(), 'hdvkit-host-information-'));
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;

function host(files: Readonly<Record<string, string>>) {
  const folder = join(root, String(count++));
  mkdirSync(folder);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return linuxHostInformation(folder);
}

const CPU = 'sys/devices/system/cpu';
const NODE = 'sys/devices/system/node';

test('finds processors with their nodes, packages and cores, those that are online only', () => {
  const { logicalProcessors } = host({
    [`${CPU}/online`]: '0-1,3\n',
    [`${CPU}/cpu0/topology/physical_package_id`]: '0\n',
    [`${CPU}/cpu0/topology/core_id`]: '0\n',
    [`${CPU}/cpu1/topology/physical_package_id`]: '-1\n',
    [`${CPU}/cpu1/topology/core_id`]: '0\n',
    [`${CPU}/cpu3/topology/physical_package_id`]: '1\n',
    [`${CPU}/cpu3/topology/core_id`]: '4\n',
    [`${NODE}/node0/cpulist`]: '0-2\n',
    [`${NODE}/node10/cpulist`]: '3\n',
  });
  expect(logicalProcessors()).toEqual([
    { LpIndex: 0, NodeNumber: 0, PackageId: 0, CoreId: 0, RootVpIndex: 0 },
    { LpIndex: 1, NodeNumber: 0, PackageId: 0, CoreId: 0, RootVpIndex: 1 },
    { LpIndex: 3, NodeNumber: 10, PackageId: 1, CoreId: 4, RootVpIndex: 3 },
  ]);
});

test('finds the memory of each node, and of the whole host where there are none', () => {
  const nodes = host({
    [`${NODE}/node0/meminfo`]: 'Node 0 MemTotal:  8000 kB\nNode 0 MemFree:  4000 kB\n',
    [`${NODE}/node1/meminfo`]: 'Node 1 MemTotal:  400 kB\nNode 1 MemFree:  40 kB\n',
  });
  expect(nodes.memoryNodes()).toEqual([
    { NodeNumber: 0, TotalMemory: 2000, AvailableMemory: 1000 },
    { NodeNumber: 1, TotalMemory: 100, AvailableMemory: 10 },
  ]);
  const plain = host({ 'proc/meminfo': 'MemTotal: 400 kB\nMemFree: 4 kB\nMemAvailable: 80 kB\n' });
  expect(plain.memoryNodes()).toEqual([{ NodeNumber: 0, TotalMemory: 100, AvailableMemory: 20 }]);
});

test('names what processors can by the words of the schema', () => {
  const { processorCapabilities, logicalProcessors } = host({
    'proc/cpuinfo': [
      'processor\t: 0',
      'flags\t\t: avx2 pni unheard_of fpu rdtscp xsave',
      'clflush size\t: 64',
      'address sizes\t: 46 bits physical, 48 bits virtual',
      '',
      'processor\t: 1',
    ].join('\n'),
    'sys/module/kvm_intel/parameters/nested': 'Y\n',
  });
  expect(processorCapabilities()).toEqual({
    ProcessorFeatures: ['Sse3', 'Rdtscp', 'NestedVirt'],
    XsaveProcessorFeatures: ['Xsave', 'Avx2'],
    CacheLineFlushSize: 64,
    ImplementedPhysicalAddressBits: 46,
  });
  expect(logicalProcessors().map(({ LpIndex }) => LpIndex)).toEqual([0, 1]);
});

test('says little, and fails nowhere, where nothing can be read', () => {
  const nothing = host({});
  expect(nothing.logicalProcessors()).toEqual([]);
  expect(nothing.memoryNodes()).toHaveLength(1);
  expect(nothing.processorCapabilities()).toEqual({
    ProcessorFeatures: [],
    XsaveProcessorFeatures: [],
  });
});

test('knows this host', () => {
  const here = linuxHostInformation();
  const indexes = here.logicalProcessors().map(({ LpIndex }) => LpIndex);
  expect(new Set(indexes).size).toBe(indexes.length);
  expect(indexes.length).toBeGreaterThanOrEqual(Math.min(1, cpus().length));
  for (const { TotalMemory, AvailableMemory } of here.memoryNodes()) {
    expect(TotalMemory).toBeGreaterThanOrEqual(AvailableMemory);
  }
});
