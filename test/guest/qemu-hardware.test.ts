import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { QemuEngine, type QemuEngineOptions } from '../../src/engines/qemu/engine.ts';
import type { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import { QmpClient } from '../../src/engines/qemu/qmp.ts';
import type { ComputeSystem, VirtualMachine } from '../../src/hcs/schema/documents.ts';
import { findQemu } from '../../src/provision/find-qemu.ts';
import { LinuxGuestAccess } from '../../src/testing/linux-guest-access.ts';
import { errorOf } from '../compute/recording-engine.ts';
import { openMachine, type TestMachine } from '../host/conformance.ts';
import { Command, PROBE } from '../host/conformance-devices.ts';
import { type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';
import { processesOf, statusOf } from './machine-processes.ts';

const MODULE = new URL('../host/conformance-devices.ts', import.meta.url);
const MIB = 1024 * 1024;
/** MiB of the first NUMA node, which has no processors: what programs allocate is of the other. */
const NODE_0_MB = 128;
const GIB = 1024 * MIB;
/** A loaded machine takes its time. */
const PATIENCE = { timeout: 60_000, interval: 100 };
/** Five hours before UTC, as POSIX counts. */
const ZONE = 'HDVKIT-5';
const HOURS = 5;

let folder: string;
let host: LinuxTestHost;
let machine: TestMachine;
let agent: GuestAgent;
let console: Socket;
let printed = '';
const zone = process.env.TZ;

/** A machine that does not start. */
async function creating(
  id: string,
  change: VirtualMachine,
  look: () => unknown = () => {},
  options: QemuEngineOptions = {},
): Promise<void> {
  const { VirtualMachine } = host.document() as ComputeSystem;
  const created = await new QemuEngine({ accounts: 'service', ...options }).create({
    id,
    runtimeId: randomUUID(),
    document: { VirtualMachine: { Chipset: VirtualMachine?.Chipset, ...change } },
    exited: () => {},
    notify: () => {},
  });
  try {
    await look();
  } finally {
    await created.terminate();
  }
}

/** capabilities(7) */
const CAP_IPC_LOCK = 14n;
const CAP_SYS_RESOURCE = 24n;

/** Whether QEMU may lock any amount of memory: its own right, or the limit that the service may set for it. */
function mayLock(accounts: 'service' | 'per-vm'): boolean {
  const own = BigInt(`0x${statusOf(process.pid, 'CapEff')}`);
  const has = (capability: bigint): boolean => ((own >> capability) & 1n) === 1n;
  const [, hard] =
    /^Max locked memory +\S+ +(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  if (accounts === 'service') return has(CAP_IPC_LOCK) || hard === 'unlimited';
  return has(CAP_SYS_RESOURCE) || hard === 'unlimited';
}

async function run(command: string): Promise<string> {
  return (await agent.run(command)).stdout.trim();
}

/** The test guest with more in its document. */
function withHardware(document: ComputeSystem): ComputeSystem {
  const { VirtualMachine } = document;
  return {
    ...document,
    VirtualMachine: {
      ...VirtualMachine,
      Chipset: {
        ...VirtualMachine?.Chipset,
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
          SlitType: 'Firmware',
        },
        Processor: {
          Count: 2,
          ExposeVirtualizationExtensions: true,
          DisableSpeculationControls: true,
          ProcessorFeatureSet: {
            ProcessorFeatures: ['Sse3', 'Cmpxchg16B', 'Popcnt', 'Rdrand', 'Page1Gb'],
            XsaveProcessorFeatures: ['Xsave', 'Xsave_Opt', 'Xcr1', 'Avx'],
          },
        },
        Numa: {
          Settings: [
            { VirtualNodeNumber: 0, CountOfMemoryBlocks: NODE_0_MB, PhysicalNodeNumber: 0 },
            {
              VirtualNodeNumber: 1,
              CountOfMemoryBlocks: 1088 - NODE_0_MB,
              CountOfProcessors: 2,
              VirtualSocketNumber: 1,
            },
          ],
        },
      },
      Devices: {
        ...VirtualMachine?.Devices,
        Scsi: {
          disks: {
            Attachments: {
              '0': { Path: join(folder, 'disk.raw'), ReadOnly: true, IgnoreFlushes: true },
            },
          },
        },
        VirtioSerial: {
          Ports: { '0': { NamedPipe: join(folder, 'hvc'), ConsoleSupport: true } },
        },
      },
    },
  };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvh-'));
  writeFileSync(join(folder, 'disk.raw'), Buffer.alloc(MIB));
  host = await openLinuxHost({ memory: 1088, modules: ['virtio_pci', 'virtio_console'] });
  process.env.TZ = ZONE;
  machine = await openMachine(
    {
      ...host,
      document: () => withHardware(host.document() as ComputeSystem) as Record<string, unknown>,
      async guestOf() {
        agent = await host.agent();
        return new LinuxGuestAccess(agent);
      },
    },
    async (devices) => {
      await devices.attach(MODULE, { export: 'MsixProbe' });
    },
  );
  console = connect(join(folder, 'hvc'));
  console.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
});

afterAll(async () => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
  console?.destroy();
  await machine?.[Symbol.asyncDispose]();
  await host?.close();
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
      creating('hdvkit-strict', {
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

test('QEMU is in its sandbox, also one that was named', async () => {
  const { command, args } = await findQemu();
  const qemu = join(folder, 'named-qemu');
  writeFileSync(qemu, `#!/bin/sh\nexec ${[command, ...args].join(' ')} "$@"\n`, { mode: 0o755 });
  const id = `hdvkit-${randomUUID()}`;
  const look = (): void => expect(statusOf(processesOf(id)[0] ?? 0, 'Seccomp')).toBe('2');
  await creating(id, {}, look, { qemu });
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

  test.each(['service', 'per-vm'] as const)(
    'is in this machine’s from the start, where it is pinned, or it is said who may not: accounts %s',
    async (kind) => {
      // Where only root has accounts to give, that is the service.
      const accounts = process.getuid?.() === 0 ? kind : 'service';
      const id = `hdvkit-${randomUUID()}`;
      const pinned = { ComputeTopology: { Memory: { SizeInMB: 64, PinBackingPages: true } } };
      let locked = 0;
      const look = (): void => {
        locked = Number.parseInt(statusOf(processesOf(id)[0] ?? 0, 'VmLck'), 10);
      };
      const failure = await creating(id, pinned, look, { accounts }).catch((error) => error);
      if (mayLock(accounts)) {
        expect(failure).toBeUndefined();
        expect(locked).toBeGreaterThanOrEqual(64 * 1024);
      } else {
        expect(failure.code).toBe('E_ACCESSDENIED');
        expect(failure.reason).toMatch(/PinBackingPages is true, and .*LimitMEMLOCK=infinity/);
      }
    },
  );

  test('is in nodes with the processors that are near, and devices reach all of it', async () => {
    const node = '/sys/devices/system/node';
    const lists = await run(`cat ${node}/node0/cpulist ${node}/node1/cpulist`);
    expect(lists.trim()).toBe('0-1');
    const near = (await run(`cat ${node}/node0/cpulist`)) === '' ? 1 : 0;
    const kilobytes = await run(`awk '/MemTotal/ { print $4 }' ${node}/node${near}/meminfo`);
    expect(Number(kilobytes)).toBeGreaterThan(2 * NODE_0_MB * 1024);
    expect(await run(`cat ${node}/node1/distance`)).toBe('20 10');
    expect(await run('test -e /sys/firmware/acpi/tables/SLIT && echo table')).toBe('table');
    expect(await run('sort -u /sys/devices/system/cpu/cpu*/topology/physical_package_id')).toBe(
      '0\n1',
    );
    const { guest } = machine;
    const memory = await guest.allocate(8192);
    expect(memory.gpa).toBeGreaterThanOrEqual(NODE_0_MB * MIB);
    await memory.write(0, Buffer.from('far away'));
    const fn = await guest.open({ vendorId: 0x1234, deviceId: 0xc0f1 });
    await fn.writeBar64(0, PROBE.offsets.SOURCE, BigInt(memory.gpa));
    await fn.writeBar64(0, PROBE.offsets.TARGET, BigInt(memory.gpa + 4096));
    await fn.writeBar(0, PROBE.offsets.COUNT, 4, 8);
    await fn.writeBar(0, PROBE.offsets.COMMAND, 4, Command.COPY);
    expect(await fn.readBar(0, PROBE.offsets.RESULT, 4)).toBe(1);
    expect((await memory.read(4096, 8)).toString()).toBe('far away');
  });
});

test('the process has the name of the document', () => {
  const [pid] = processesOf(machine.system.id);
  expect(readFileSync(`/proc/${pid}/comm`, 'utf8').trim()).toBe('qemu-hardware');
});

/** Asks QEMU about a machine that does not start. */
async function asking<T>(
  id: string,
  change: VirtualMachine,
  ask: (qmp: QmpClient) => Promise<T>,
): Promise<T> {
  const monitor = join(folder, id);
  let answer: T | undefined;
  const look = async (): Promise<void> => {
    const qmp = await QmpClient.open(connect(monitor));
    answer = await ask(qmp);
    qmp.close();
  };
  const extraArgs = ['-qmp', `unix:${monitor},server=on,wait=off`];
  await creating(`hdvkit-${id}`, change, look, { extraArgs });
  return answer as T;
}

interface BlockNode {
  readonly 'node-name': string;
  readonly drv: string;
  readonly cache: Readonly<Record<string, boolean>>;
}

test('a disk ignores flushes where the document says so', async () => {
  const attachment = { Path: join(folder, 'disk.raw'), ReadOnly: true, IgnoreFlushes: true };
  const disks = { Devices: { Scsi: { disks: { Attachments: { '0': attachment } } } } };
  const nodes = await asking('flushes', disks, (qmp) => qmp.execute('query-named-block-nodes'));
  const disk = (nodes as BlockNode[]).find((node) => node['node-name'] === 'disk0-0');
  expect(disk?.cache).toMatchObject({ 'no-flush': true, direct: false });
});

test('all disks share the limits of the document', async () => {
  const Path = join(folder, 'disk.raw');
  const Attachments = { '0': { Path, ReadOnly: true }, '1': { Path, ReadOnly: true } };
  const machine = {
    StorageQoS: { IopsMaximum: 700, BandwidthMaximum: 3 * MIB },
    Devices: { Scsi: { one: { Attachments }, other: { Attachments } } },
  };
  const [limits, nodes] = await asking('limits', machine, async (qmp) => [
    await qmp.execute('qom-get', { path: '/objects/storage-qos', property: 'limits' }),
    (await qmp.execute('query-named-block-nodes')) as BlockNode[],
  ]);
  expect(limits).toMatchObject({ 'iops-total': 700, 'bps-total': 3 * MIB });
  const drivers = nodes.flatMap(({ 'node-name': name, drv }) =>
    name.startsWith('disk') ? [[name, drv]] : [],
  );
  expect(drivers.sort()).toEqual(
    ['disk0-0', 'disk0-1', 'disk1-0', 'disk1-1'].map((name) => [name, 'throttle']),
  );
});

test('a serial port is a console where the document says so', async () => {
  // What is written before somebody is connected is lost.
  const said = async (): Promise<string> => {
    await run('echo to the console > /dev/hvc0');
    return printed;
  };
  await expect.poll(said, PATIENCE).toContain('to the console');
});
