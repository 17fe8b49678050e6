// Longer than it looks: half of it is the table of processor features, Linux' names to the schema's.
import { readdirSync, readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import { join } from 'node:path';
import type { HostInformation, HostMemoryNode } from '../../compute/host-information.ts';
import type {
  LogicalProcessor,
  ProcessorCapabilitiesInfo,
  ProcessorFeature,
  XsaveProcessorFeature,
} from '../../hcs/schema/documents.ts';

const KIB_PER_PAGE = 4;
const PAGE = 4096;

/** Flags of /proc/cpuinfo (Linux, arch/x86/include/asm/cpufeatures.h). */
const FEATURES: Readonly<Record<string, ProcessorFeature>> = {
  pni: 'Sse3',
  lahf_lm: 'LahfSahf',
  ssse3: 'Ssse3',
  sse4_1: 'Sse4_1',
  sse4_2: 'Sse4_2',
  sse4a: 'Sse4A',
  xop: 'Xop',
  popcnt: 'Popcnt',
  cx16: 'Cmpxchg16B',
  cr8_legacy: 'Altmovcr8',
  abm: 'Lzcnt',
  misalignsse: 'Misalignsse',
  mmxext: 'MmxExt',
  '3dnow': 'Amd3Dnow',
  '3dnowext': 'ExtAmd3Dnow',
  pdpe1gb: 'Page1Gb',
  aes: 'AmdAes',
  pclmulqdq: 'Pclmulqdq',
  pcid: 'Pcid',
  fma4: 'Fma4',
  f16c: 'F16C',
  rdrand: 'Rdrand',
  fsgsbase: 'Rdwrfsgs',
  smep: 'Smep',
  erms: 'EnhancedFastString',
  bmi1: 'Bmi1',
  bmi2: 'Bmi2',
  movbe: 'Movbe',
  rdseed: 'Rdseed',
  adx: 'Adx',
  '3dnowprefetch': 'IntelPrefetch',
  smap: 'Smap',
  hle: 'Hle',
  rtm: 'Rtm',
  rdtscp: 'Rdtscp',
  clflushopt: 'Clflushopt',
  clwb: 'Clwb',
  sha_ni: 'Sha',
  invpcid: 'Invpcid',
  ibrs: 'Ibrs',
  stibp: 'Stibp',
  ibpb: 'Ibpb',
  fsrm: 'FastShortRepMov',
  flush_l1d: 'L1DCacheFlush',
  rdpid: 'Rdpid',
  umip: 'Umip',
  md_clear: 'MbClear',
  nonstop_tsc: 'TscInvariant',
  clzero: 'Clzero',
  rdpru: 'Rdpru',
  la57: 'La57',
  user_shstk: 'CetSs',
  ibt: 'CetIbt',
  waitpkg: 'UmwaitTpause',
  movdiri: 'Movdiri',
  movdir64b: 'Movdir64b',
  cldemote: 'Cldemote',
  serialize: 'Serialize',
  tsc_deadline_timer: 'TscDeadlineTmr',
  tsc_adjust: 'TscAdjust',
  fzrm: 'FZLRepMovsb',
  fsrs: 'FSRepStosb',
  fsrc: 'FSRepCmpsb',
};

const XSAVE_FEATURES: Readonly<Record<string, XsaveProcessorFeature>> = {
  xsave: 'Xsave',
  xsaveopt: 'Xsave_Opt',
  avx: 'Avx',
  avx2: 'Avx2',
  fma: 'Fma',
  mpx: 'Mpx',
  avx512f: 'Avx512',
  avx512dq: 'Avx512Dq',
  avx512cd: 'Avx512Cd',
  avx512bw: 'Avx512Bw',
  avx512vl: 'Avx512Vl',
  xsavec: 'Xsave_Comp',
  xsaves: 'Xsave_Supervisor',
  xgetbv1: 'Xcr1',
  avx512_bitalg: 'Avx512_Bitalg',
  avx512ifma: 'AVX512_Ifma',
  avx512vbmi: 'Avx512_Vbmi',
  avx512_vbmi2: 'Avx512_Vbmi2',
  avx512_vnni: 'Avx512_Vnni',
  gfni: 'Gfni',
  vaes: 'Vaes',
  avx512_vpopcntdq: 'Avx512_Vpopcntdq',
  vpclmulqdq: 'Vpclmulqdq',
  avx512_bf16: 'Avx512_Bf16',
  avx512_vp2intersect: 'Avx512_Vp2Intersect',
  avx512_fp16: 'Avx512Fp16',
  amx_tile: 'AmxTile',
  amx_bf16: 'AmxBf16',
  amx_int8: 'AmxInt8',
  avx_vnni: 'AvxVnni',
};

/**
 * What Linux tells of the host by /proc and /sys. A container may hide parts of these: what is missing is one node, one
 * package, a core for each processor.
 * @param root folder that /proc and /sys are in; another one for tests
 */
export function linuxHostInformation(root = '/'): HostInformation {
  const text = (path: string): string | undefined => {
    try {
      return readFileSync(join(root, path), 'utf8');
    } catch {
      return undefined;
    }
  };
  const number = (path: string, otherwise: number): number => {
    const value = Number.parseInt(text(path) ?? '', 10);
    // A processor that is no part of a package says -1.
    return Number.isInteger(value) && value >= 0 ? value : otherwise;
  };
  const nodes = (): readonly number[] => {
    try {
      return readdirSync(join(root, 'sys/devices/system/node'))
        .flatMap((name) => /^node(\d+)$/.exec(name)?.[1] ?? [])
        .map(Number)
        .sort((a, b) => a - b);
    } catch {
      return [];
    }
  };

  return {
    cpuGroupProperties: [],

    logicalProcessors(): readonly LogicalProcessor[] {
      const nodeOf = new Map<number, number>();
      for (const node of nodes()) {
        const list = text(`sys/devices/system/node/node${node}/cpulist`) ?? '';
        for (const cpu of indexes(list)) nodeOf.set(cpu, node);
      }
      const info = text('proc/cpuinfo') ?? '';
      const listed = [...info.matchAll(/^processor\s*:\s*(\d+)/gm)].map(([, cpu]) => Number(cpu));
      const online = text('sys/devices/system/cpu/online');
      return (online === undefined ? listed : indexes(online)).map((cpu) => ({
        LpIndex: cpu,
        NodeNumber: nodeOf.get(cpu) ?? 0,
        PackageId: number(`sys/devices/system/cpu/cpu${cpu}/topology/physical_package_id`, 0),
        CoreId: number(`sys/devices/system/cpu/cpu${cpu}/topology/core_id`, cpu),
        RootVpIndex: cpu,
      }));
    },

    memoryNodes(): readonly HostMemoryNode[] {
      const found = nodes().flatMap((node) => {
        const info = text(`sys/devices/system/node/node${node}/meminfo`);
        return info === undefined ? [] : [memoryNode(node, info, 'MemFree')];
      });
      if (found.length > 0) return found;
      const info = text('proc/meminfo');
      if (info !== undefined) return [memoryNode(0, info, 'MemAvailable')];
      return [
        {
          NodeNumber: 0,
          TotalMemory: Math.floor(totalmem() / PAGE),
          AvailableMemory: Math.floor(freemem() / PAGE),
        },
      ];
    },

    processorCapabilities(): ProcessorCapabilitiesInfo {
      const info = text('proc/cpuinfo') ?? '';
      const field = (name: RegExp): string => name.exec(info)?.[1] ?? '';
      const flags = field(/^flags\s*:(.*)$/m)
        .trim()
        .split(/\s+/);
      const isNested = ['kvm_intel', 'kvm_amd'].some((module) =>
        /^[Y1]/.test(text(`sys/module/${module}/parameters/nested`) ?? ''),
      );
      const flush = Number(field(/^clflush size\s*:\s*(\d+)/m));
      const bits = Number(field(/^address sizes\s*:\s*(\d+) bits physical/m));
      return {
        ProcessorFeatures: [
          ...named(flags, FEATURES),
          ...(isNested ? ['NestedVirt' as const] : []),
        ],
        XsaveProcessorFeatures: named(flags, XSAVE_FEATURES),
        ...(flush > 0 ? { CacheLineFlushSize: flush } : {}),
        ...(bits > 0 ? { ImplementedPhysicalAddressBits: bits } : {}),
      };
    },
  };
}

/** Indexes of a list as the kernel writes it: `0-3,8`. */
export function indexes(list: string): readonly number[] {
  return list
    .trim()
    .split(',')
    .filter((part) => part !== '')
    .flatMap((part) => {
      const [first = 0, last = first] = part.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

function memoryNode(node: number, info: string, free: string): HostMemoryNode {
  const kib = (name: string): number =>
    Number(new RegExp(`\\b${name}:\\s*(\\d+) kB`).exec(info)?.[1] ?? 0);
  return {
    NodeNumber: node,
    TotalMemory: Math.floor(kib('MemTotal') / KIB_PER_PAGE),
    AvailableMemory: Math.floor(kib(free) / KIB_PER_PAGE),
  };
}

/** In the order of the table, whatever the order of the flags. */
function named<T>(flags: readonly string[], table: Readonly<Record<string, T>>): readonly T[] {
  const set = new Set(flags);
  return Object.entries(table).flatMap(([flag, feature]) => (set.has(flag) ? [feature] : []));
}
