import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EngineSystem } from '../../src/compute/engine.ts';
import { QemuEngine } from '../../src/engines/qemu/engine.ts';
import type { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import { LinuxGuest } from '../../src/engines/qemu/linux-guest.ts';
import { QmpClient } from '../../src/engines/qemu/qmp.ts';
import type { VirtualMachine } from '../../src/hcs/schema/documents.ts';
import { errorOf } from '../compute/recording-engine.ts';
import { processesOf } from './machine-processes.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** A loaded machine takes its time. */
const PATIENCE = { timeout: 60_000, interval: 100 };
/** Five hours before UTC, as POSIX counts. */
const ZONE = 'HDVKIT-5';
const HOURS = 5;

let folder: string;
let guest: LinuxGuest;
let engine: QemuEngine;
let machine: EngineSystem;
let agent: GuestAgent;
let qmp: QmpClient;
let console: Socket;
let printed = '';
const zone = process.env.TZ;

/** A machine of the test guest with more in its document. */
function create(id: string, change: VirtualMachine): Promise<EngineSystem> {
  return engine.create({
    id,
    runtimeId: randomUUID(),
    document: { VirtualMachine: { ...guest.document.VirtualMachine, ...change } },
    exited: () => {},
    notify: () => {},
  });
}

async function run(command: string): Promise<string> {
  return (await agent.run(command)).stdout.trim();
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvh-'));
  writeFileSync(join(folder, 'disk.raw'), Buffer.alloc(MIB));
  guest = await LinuxGuest.prepare({ memory: 1088, modules: ['virtio_pci', 'virtio_console'] });
  const monitor = join(folder, 'qmp');
  engine = new QemuEngine({ extraArgs: ['-qmp', `unix:${monitor},server=on,wait=off`] });
  process.env.TZ = ZONE;
  machine = await create('hdvkit-hardware', {
    Chipset: {
      ...guest.document.VirtualMachine?.Chipset,
      BaseBoardSerialNumber: 'board, 1',
      ChassisSerialNumber: 'chassis 2',
      ChassisAssetTag: 'tag=3',
      EnableHibernation: true,
      UseUtc: false,
    },
    ComputeTopology: {
      Memory: {
        SizeInMB: 1088,
        LowMmioGapInMB: 3072,
        HighMmioGapInMB: 65_536,
        HostingProcessNameSuffix: 'hardware',
      },
      Processor: {
        Count: 1,
        ExposeVirtualizationExtensions: true,
        DisableSpeculationControls: true,
        ProcessorFeatureSet: {
          ProcessorFeatures: ['Sse3', 'Cmpxchg16B', 'Popcnt', 'Rdrand', 'Page1Gb'],
          XsaveProcessorFeatures: ['Xsave', 'Xsave_Opt', 'Xcr1', 'Avx'],
        },
      },
    },
    Devices: {
      ...guest.document.VirtualMachine?.Devices,
      Scsi: {
        disks: {
          Attachments: { '0': { Path: join(folder, 'disk.raw'), IgnoreFlushes: true } },
        },
      },
      VirtioSerial: {
        Ports: { '0': { NamedPipe: join(folder, 'hvc'), ConsoleSupport: true } },
      },
    },
  });
  qmp = await QmpClient.open(connect(monitor));
  console = connect(join(folder, 'hvc'));
  console.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  const ready = guest.connectAgent();
  await machine.start([]);
  agent = await ready;
});

afterAll(async () => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
  console?.destroy();
  qmp?.close();
  await agent?.[Symbol.asyncDispose]();
  await machine?.terminate();
  guest?.[Symbol.dispose]();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

/** Ranges of /proc/iomem with a name, from the first to the last byte. */
async function ranges(name: string): Promise<{ readonly first: number; readonly last: number }[]> {
  const text = await run(`grep '^[0-9a-f].* : ${name}$' /proc/iomem`);
  return text.split('\n').map((line) => {
    const [first = '', last = ''] = line.split(' ')[0]?.split('-') ?? [];
    return { first: Number.parseInt(first, 16), last: Number.parseInt(last, 16) };
  });
}

describe('the board', () => {
  test('has the numbers of the document in its tables', async () => {
    const dmi = '/sys/class/dmi/id';
    expect(
      await run(`cat ${dmi}/board_serial ${dmi}/chassis_serial ${dmi}/chassis_asset_tag`),
    ).toBe('board, 1\nchassis 2\ntag=3');
  });

  test('has the local time of this machine in its clock', async () => {
    const seconds = Number(await run('cat /sys/class/rtc/rtc0/since_epoch'));
    expect(Math.round((seconds - Date.now() / 1000) / 3600)).toBe(HOURS);
  });

  test('can sleep on its disk', async () => {
    expect(await run('dmesg')).toMatch(/ACPI: PM: \(supports .*S4/);
  });
});

describe('the processor', () => {
  test('has the features of the document and, of those that it could have named, no other', async () => {
    const flags = (await run('grep -m 1 ^flags /proc/cpuinfo')).split(/\s+/);
    expect(flags).toEqual(
      expect.arrayContaining(['pni', 'cx16', 'popcnt', 'rdrand', 'pdpe1gb', 'avx', 'svm']),
    );
    for (const flag of ['aes', 'ssse3', 'bmi1', 'smep', 'avx2', 'fma', 'vaes']) {
      expect(flags).not.toContain(flag);
    }
  });

  test('is refused where it has less than a strict document says', async () => {
    const error = await errorOf(() =>
      create('hdvkit-strict', {
        ComputeTopology: {
          Memory: { SizeInMB: 64 },
          Processor: {
            ProcessorFeatureSet: {
              XsaveProcessorFeatures: ['Xsave', 'Avx512'],
              ProcessorFeatureSetMode: 'Strict',
            },
          },
        },
      }),
    );
    expect(error.reason).toMatch(/doesn't support requested feature.*avx512f/);
  });
});

describe('the memory', () => {
  test('leaves room for devices below and above 4 GiB', async () => {
    const memory = await ranges('System RAM');
    expect(memory.some(({ first, last }) => last > GIB && first < 4 * GIB)).toBe(false);
    expect(memory.some(({ first }) => first >= 4 * GIB)).toBe(true);
    const windows = await ranges('PCI Bus 0000:00');
    const high = windows.find(({ first }) => first >= 4 * GIB);
    expect((high?.last ?? 0) - (high?.first ?? 0)).toBeGreaterThanOrEqual(64 * GIB - 1);
  });

  test('is in this machine’s from the start, where it is pinned', async () => {
    const id = 'hdvkit-pinned';
    // No second monitor: its socket is taken.
    const pinned = await new QemuEngine().create({
      id,
      runtimeId: randomUUID(),
      document: {
        VirtualMachine: {
          Chipset: guest.document.VirtualMachine?.Chipset,
          ComputeTopology: { Memory: { SizeInMB: 64, PinBackingPages: true } },
        },
      },
      exited: () => {},
      notify: () => {},
    });
    try {
      const [pid] = processesOf(id);
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      const locked = Number(/^VmLck:\s+(\d+) kB/m.exec(status)?.[1]);
      expect(locked).toBeGreaterThanOrEqual(64 * 1024);
    } finally {
      await pinned.terminate();
    }
  });
});

test('the process has the name of the document', () => {
  const [pid] = processesOf('hdvkit-hardware');
  expect(readFileSync(`/proc/${pid}/comm`, 'utf8').trim()).toBe('qemu-hardware');
});

test('a disk ignores flushes where the document says so', async () => {
  const nodes = (await qmp.execute('query-named-block-nodes')) as {
    readonly 'node-name': string;
    readonly cache: Readonly<Record<string, boolean>>;
  }[];
  const disk = nodes.find((node) => node['node-name'] === 'disk0-0');
  expect(disk?.cache).toMatchObject({ 'no-flush': true, direct: false });
});

test('a serial port is a console where the document says so', async () => {
  await run('echo to the console > /dev/hvc0');
  await expect.poll(() => printed, PATIENCE).toContain('to the console');
});
