// Longer than most files: one guest is booted, and everything that can change in it is changed.
import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needsGrants } from '../../src/cli/vm/grant-files.ts';
import type { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import type { HcsError } from '../../src/hcs/hcs-error.ts';
import type { ComputeSystem as Document } from '../../src/hcs/schema/documents.ts';
import { ComputeSystem } from '../../src/index.ts';
import { LinuxGuestAccess } from '../../src/testing/linux-guest-access.ts';
import { errorOf } from '../compute/recording-engine.ts';
import { openMachine, type TestMachine } from '../host/conformance.ts';
import { Command, PROBE } from '../host/conformance-devices.ts';
import { ImageMaker } from './disk-images.ts';
import { grantDocument, type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';
import { processesOf } from './machine-processes.ts';

/** A loaded machine takes its time. */
const PATIENCE = { timeout: 60_000, interval: 200 };
const FOUR_GIB = 2 ** 32;
const MIB = 1024 * 1024;
const MODULE = new URL('../host/conformance-devices.ts', import.meta.url);
const VENDOR = 0x1234;
const MSI_PROBE = 0xc0f2;
const ENDPOINT = '6a0c7c0e-1d2f-4f3a-9a55-0d3f5b0e1c11';

let folder: string;
let host: LinuxTestHost;
let machine: TestMachine;
let agent: GuestAgent;
/** What another machine at the end of the network hears. */
let network: Server;
let frames = 0;
const section = `hdvkit-${randomUUID()}`;

/** The document's own devices: one of each kind. */
function withDevices(document: Document): Document {
  const { VirtualMachine } = document;
  return {
    ...document,
    VirtualMachine: {
      ...VirtualMachine,
      StorageQoS: { IopsMaximum: 100_000 },
      Devices: {
        ...VirtualMachine?.Devices,
        Scsi: {
          disks: { Attachments: { '0': { Type: 'Iso', Path: join(folder, 'first.iso') } } },
          empty: {},
        },
        NetworkAdapters: { a: { MacAddress: '00-15-5D-00-00-01' } },
        VideoMonitor: { HorizontalResolution: 800, VerticalResolution: 600 },
        Keyboard: {},
        Mouse: {},
      },
    },
  };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvr-'));
  writeFileSync(join(folder, 'first.iso'), Buffer.alloc(MIB, '1'));
  writeFileSync(join(folder, 'second.iso'), Buffer.alloc(MIB, '2'));
  writeFileSync(`/dev/shm/${section}`, Buffer.alloc(MIB, 'S'));
  network = createServer((socket) => socket.on('data', () => frames++));
  await new Promise<void>((resolve) => network.listen(join(folder, 'net'), resolve));
  host = await openLinuxHost(
    {
      processors: 2,
      modules: [
        ...['virtio_pci', 'virtio_scsi', 'sd_mod', 'sr_mod', 'virtio_net', 'virtio_console'],
        ...[
          'virtio_mem',
          'virtio_balloon',
          'virtio_pmem',
          'nd_pmem',
          'usbhid',
          'hid_generic',
          'xhci_pci',
        ],
      ],
    },
    {
      engine: {
        networkEndpoints: { [ENDPOINT]: { kind: 'stream', path: join(folder, 'net') } },
      },
    },
  );
  machine = await openMachine(
    {
      ...host,
      document: () => withDevices(host.document() as Document) as Record<string, unknown>,
      async guestOf() {
        agent = await host.agent();
        return new LinuxGuestAccess(agent);
      },
    },
    async (devices) => {
      await devices.attach(MODULE, { export: 'MsiProbe', instanceId: INSTANCE });
    },
  );
});

const INSTANCE = randomUUID();

afterAll(async () => {
  await machine?.[Symbol.asyncDispose]();
  await host?.close();
  network?.close();
  rmSync(`/dev/shm/${section}`, { force: true });
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

type Request = 'Add' | 'Remove' | 'Update';

interface FileSettings {
  readonly Path?: string;
  readonly HostPath?: string;
  readonly SectionName?: string;
}

/** Lets a machine open what settings name, where that is there. */
async function grant(id: string, { Path, HostPath, SectionName }: FileSettings): Promise<void> {
  const file =
    Path ?? HostPath ?? (SectionName && `/dev/shm/${basename(SectionName.replaceAll('\\', '/'))}`);
  if (file === undefined || !existsSync(file) || !needsGrants('linux')) return;
  await host.binding.computeCore.HcsGrantVmAccess(id, file);
}

async function modify(path: string, RequestType: Request, Settings?: unknown): Promise<void> {
  if (typeof Settings === 'object') await grant(machine.system.id, Settings as FileSettings);
  const ResourcePath = `VirtualMachine/${path}`;
  await machine.system.modify({
    ResourcePath,
    RequestType,
    ...(Settings === undefined ? {} : { Settings }),
  });
}

function refused(path: string, request: Request, settings?: unknown): Promise<HcsError> {
  return errorOf(() => modify(path, request, settings));
}

async function run(command: string): Promise<string> {
  const { stdout } = await agent.run(command);
  return stdout.trim();
}

/** Waits until a command in the guest prints something. */
async function until(command: string, expected: string | RegExp): Promise<void> {
  const poll = expect.poll(() => run(command), PATIENCE);
  if (typeof expected === 'string') await poll.toBe(expected);
  else await poll.toMatch(expected);
}

async function property(type: string): Promise<unknown> {
  const { PropertyResponses } = await machine.system.properties({ Queries: { [type]: {} } });
  return PropertyResponses?.[type]?.Response;
}

async function memoryMB(): Promise<number> {
  const { Memory } = await machine.system.properties({ PropertyTypes: ['Memory'] });
  return (Memory?.VirtualMachineMemory?.AssignedMemory ?? 0) / 256;
}

/** Name of a disk of a controller in the guest: `'sda'`. */
const disk = (lun: number): string => `ls /sys/bus/scsi/devices/*:0:0:${lun}/block | tail -1`;
const start = (lun: number, length = 3): string => `head -c ${length} /dev/$(${disk(lun)})`;

describe('attachments', () => {
  const at = (lun: number, controller = 'disks'): string =>
    `Devices/Scsi/${controller}/Attachments/${lun}`;
  let images: ImageMaker;

  beforeAll(async () => {
    images = await ImageMaker.start();
  });

  afterAll(() => images.close());

  test.each([
    ['raw', 'img', 1],
    ['vhdx', 'vhdx', 2],
    ['vpc', 'vhd', 3],
    ['qcow2', 'qcow2', 4],
  ] as const)('come and go: %s', async (format, suffix, lun) => {
    const Path = join(folder, `disk.${suffix}`);
    if (format === 'raw') writeFileSync(Path, Buffer.alloc(8 * MIB, 'D'));
    else await images.create(Path, format, 8 * MIB, 'D');
    await modify(at(lun), 'Add', { Type: 'VirtualDisk', Path });
    await until(start(lun), 'DDD');
    expect((await refused(at(lun), 'Add', { Path })).code).toBe('ERROR_ALREADY_EXISTS');
    await modify(at(lun), 'Remove');
    await until(`ls -d /sys/bus/scsi/devices/*:0:0:${lun}`, '');
    await modify(at(lun), 'Add', { Path, ReadOnly: true });
    await until(`cat /sys/block/$(${disk(lun)})/ro`, '1');
    await modify(at(lun), 'Remove');
    expect((await refused(at(lun), 'Remove')).code).toBe('ERROR_NOT_FOUND');
  });

  test('grow with a raw image', async () => {
    const Path = join(folder, 'grows.img');
    writeFileSync(Path, Buffer.alloc(MIB, 'G'));
    await modify(at(5), 'Add', { Path });
    await until(start(5), 'GGG');
    truncateSync(Path, 3 * MIB);
    await modify(at(5), 'Update', { Path });
    await until(`cat /sys/block/$(${disk(5)})/size`, String((3 * MIB) / 512));
    const other = await refused(at(5), 'Update', { Path: join(folder, 'disk.img') });
    expect(other.reason).toContain('remove it and add it again');
  });

  test('do not grow in another format', async () => {
    const Path = join(folder, 'disk.qcow2');
    await modify(at(4), 'Add', { Path });
    const error = await refused(at(4), 'Update', { Path });
    expect(error.code).toBe('ERROR_NOT_SUPPORTED');
    expect(error.reason).toContain('a qcow2 image cannot grow while a machine has it');
  });

  test('have their medium changed', async () => {
    await until(start(0), '111');
    await modify(at(0), 'Update', { Type: 'Iso', Path: join(folder, 'second.iso') });
    await until(start(0), '222');
    const error = await refused(at(0), 'Update', { Type: 'Iso', Path: join(folder, 'third.iso') });
    expect(error.code).toBe('ERROR_FILE_NOT_FOUND');
    expect(await run(start(0))).toBe('222');
  });

  test('go to any controller of the document, by its name', async () => {
    const Path = join(folder, 'other.img');
    writeFileSync(Path, Buffer.alloc(MIB, 'O'));
    await modify(at(7, 'empty'), 'Add', { Path });
    await until(start(7), 'OOO');
    await modify(at(7, 'empty'), 'Remove');
    const error = await refused(at(7, 'none'), 'Add', { Path });
    expect(error.code).toBe('ERROR_NOT_FOUND');
    expect(error.reason).toContain('no SCSI controller "none"; it has "disks", "empty"');
  });

  test('are refused with the path and what to do', async () => {
    const locked = join(folder, 'disk.qcow2'); // That the machine has already.
    const truncated = join(folder, 'truncated.vhdx');
    writeFileSync(truncated, readFileSync(join(folder, 'disk.vhdx')).subarray(0, 4096));
    const cut = join(folder, 'cut.qcow2');
    writeFileSync(cut, readFileSync(locked).subarray(0, 256 * 1024));
    const odd = join(folder, 'odd.qcow2');
    writeFileSync(odd, 'no image at all'.repeat(100));
    for (const [Path, code, text] of [
      [locked, 'ERROR_SHARING_VIOLATION', 'is in use by another machine or program'],
      [truncated, 'ERROR_INVALID_DATA', 'QEMU cannot open it'],
      [cut, 'ERROR_INVALID_DATA', 'the image was cut off, as it has 262144 bytes and something at'],
      [odd, 'ERROR_INVALID_DATA', 'Image is not in qcow2 format'],
      [folder, 'ERROR_INVALID_DATA', 'that is a folder; name a file'],
      [join(folder, 'none.img'), 'ERROR_FILE_NOT_FOUND', 'there is no such file; make it'],
    ] as const) {
      const error = await refused(at(9), 'Add', { Path });
      expect(error.code).toBe(code);
      expect(error.reason).toContain(`$.Settings.Path is "${Path}"`);
      expect(error.reason).toContain(text);
    }
    const flags = { Path: join(folder, 'disk.img'), ExtensibleVirtualDiskType: 'of Windows' };
    expect((await refused(at(9), 'Add', flags)).code).toBe('E_NOTIMPL');
  });
});

test('a machine is not made of a disk that another one has', async () => {
  const document = withDevices(host.document() as Document);
  const { VirtualMachine } = document;
  const Path = join(folder, 'disk.qcow2');
  const id = `hdvkit-${randomUUID()}`;
  await grant(id, { Path });
  const error = await errorOf(() =>
    ComputeSystem.create(
      id,
      {
        ...document,
        VirtualMachine: {
          ...VirtualMachine,
          Devices: { Scsi: { own: { Attachments: { '4': { Path } } } } },
        },
      },
      { core: host.binding.computeCore },
    ),
  );
  expect(error.code).toBe('ERROR_SHARING_VIOLATION');
  expect(error.reason).toContain(
    `$.VirtualMachine.Devices.Scsi["own"].Attachments["4"].Path is "${Path}"`,
  );
});

describe('memory', () => {
  test('comes above what the machine began with, and devices reach it', async () => {
    expect(await memoryMB()).toBe(256);
    await modify('ComputeTopology/Memory/SizeInMB', 'Update', 512);
    expect(await memoryMB()).toBe(512);
    const memory = await machine.guest.allocate(64 * 1024);
    expect(memory.gpa).toBeGreaterThanOrEqual(FOUR_GIB);
    await memory.write(100, Buffer.from('hot memory'));
    const fn = await machine.guest.open({ vendorId: VENDOR, deviceId: MSI_PROBE });
    await fn.writeBar64(0, PROBE.offsets.SOURCE, BigInt(memory.gpa + 100));
    await fn.writeBar64(0, PROBE.offsets.TARGET, BigInt(memory.gpa + 40_000));
    await fn.writeBar(0, PROBE.offsets.COUNT, 4, 10);
    await fn.writeBar(0, PROBE.offsets.COMMAND, 4, Command.COPY);
    expect(await fn.readBar(0, PROBE.offsets.RESULT, 4)).toBe(1);
    expect((await memory.read(40_000, 10)).toString()).toBe('hot memory');
  });

  test('is taken from the guest below that, and the guest tells what it has', async () => {
    await modify('ComputeTopology/Memory/SizeInMB', 'Update', 500);
    expect(await memoryMB()).toBe(500);
  });

  test.each([0, 63, 257, 99_999])('cannot be %d MiB', async (size) => {
    const error = await refused('ComputeTopology/Memory/SizeInMB', 'Update', size);
    expect(error.code).toBe('E_INVALIDARG');
    expect(error.reason).toContain('use a multiple of 2 from 64 to 16640');
  });
});

describe('network adapters', () => {
  const mac = '00:15:5d:00:00:02';
  const path = `Devices/NetworkAdapters/${ENDPOINT}`;
  const name = `grep -l ${mac} /sys/class/net/*/address | cut -d/ -f5`;

  test('of the document have a network of their own where they name no endpoint', async () => {
    await run('ip link set eth0 up');
    expect(await run('cat /sys/class/net/eth0/address')).toBe('00:15:5d:00:00:01');
    expect(await run('udhcpc -i eth0 -n -q -s /bin/true 2>&1')).toContain('lease of 10.0.2.15');
  });

  test('come, connected to what the engine was told of their endpoint', async () => {
    await modify(path, 'Add', { EndpointId: ENDPOINT, MacAddress: '00-15-5D-00-00-02' });
    await until(name, /^eth/);
    await run(`ip link set $(${name}) up`);
    const sent = async (): Promise<number> => {
      await run(`udhcpc -i $(${name}) -n -q -t 1 -T 1 -s /bin/true`);
      return frames;
    };
    await expect.poll(sent, PATIENCE).toBeGreaterThan(0);
  });

  test('lose and get their link', async () => {
    await modify(path, 'Update', { ConnectionState: 'Disabled' });
    await until(`cat /sys/class/net/$(${name})/carrier`, '0');
    await modify(path, 'Update', { ConnectionState: 'Enabled' });
    await until(`cat /sys/class/net/$(${name})/carrier`, '1');
  });

  test('go', async () => {
    await modify(path, 'Remove', { EndpointId: ENDPOINT });
    await until(name, '');
    expect((await refused(path, 'Remove')).code).toBe('ERROR_NOT_FOUND');
  });

  test('are refused with an endpoint that nobody knows', async () => {
    const error = await refused(path, 'Add', { EndpointId: INSTANCE });
    expect(error.code).toBe('ERROR_NOT_FOUND');
    expect(error.reason).toContain("say what it is by the engine's option networkEndpoints");
  });
});

describe('pipes', () => {
  /** What somebody who listens on a socket hears. */
  async function listener(path: string): Promise<{ text: string; server: Server; peer: Socket[] }> {
    const heard = { text: '', server: createServer(), peer: [] as Socket[] };
    heard.server.on('connection', (socket) => {
      heard.peer.push(socket);
      socket.setEncoding('utf8').on('data', (text: string) => {
        heard.text += text;
      });
    });
    await new Promise<void>((resolve) => heard.server.listen(path, resolve));
    return heard;
  }

  test('of COM ports move to another socket, and to none', async () => {
    const path = join(folder, 'moved');
    const heard = await listener(path);
    await modify('Devices/ComPorts/0', 'Update', { NamedPipe: path });
    await run('echo through another > /dev/ttyS0');
    await expect.poll(() => heard.text, PATIENCE).toContain('through another');
    await modify('Devices/ComPorts/0', 'Remove');
    await run('echo to nobody > /dev/ttyS0');
    const made = join(folder, 'made');
    await modify('Devices/ComPorts/0', 'Add', { NamedPipe: made });
    const console = connect(made);
    let text = '';
    console.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    await expect
      .poll(async () => {
        await run('echo to whoever comes > /dev/ttyS0');
        return text;
      }, PATIENCE)
      .toContain('to whoever comes');
    expect(heard.text).not.toContain('nobody');
    console.destroy();
    await modify('Devices/ComPorts/0', 'Update', {});
    expect(existsSync(made)).toBe(false);
    heard.server.close();
  });

  test('are mapped into the guest by their name, and no longer', async () => {
    const path = join(folder, 'mapped');
    const heard = await listener(path);
    await modify(`Devices/MappedPipes/${path}`, 'Add');
    const port = `grep -l ${basename(path)} /sys/class/virtio-ports/*/name | cut -d/ -f5`;
    await until(port, /^vport/);
    await run(`echo from the guest > /dev/$(${port})`);
    await expect.poll(() => heard.text, PATIENCE).toBe('from the guest\n');
    expect((await refused(`Devices/MappedPipes/${path}`, 'Add')).code).toBe('ERROR_ALREADY_EXISTS');
    await modify(`Devices/MappedPipes/${path}`, 'Remove');
    await until(port, '');
    heard.server.close();
  });
});

describe('memory of other kinds', () => {
  test('persistent memory is a file of this machine', async () => {
    const HostPath = join(folder, 'pmem.img');
    writeFileSync(HostPath, Buffer.alloc(16 * MIB, 'P'));
    await modify('Devices/VirtualPMem/Devices/2', 'Add', { HostPath });
    await until('head -c 3 /dev/pmem0', 'PPP');
    await run('echo written | dd of=/dev/pmem0 conv=notrunc; sync');
    await expect
      .poll(() => readFileSync(HostPath).subarray(0, 7).toString(), PATIENCE)
      .toBe('written');
    const error = await refused('Devices/VirtualPMem/Devices/2', 'Remove');
    expect(error.code).toBe('ERROR_NOT_SUPPORTED');
    expect(error.reason).toContain('persistent memory 2 cannot be removed');
  });

  test('a shared region is where the property says', async () => {
    const SectionName = `Global\\${section}`;
    await modify('Devices/SharedMemory/Regions', 'Add', { SectionName, AllowGuestWrite: true });
    const placed = (): Promise<unknown> => property('SharedMemoryRegion');
    await expect
      .poll(placed, PATIENCE)
      .toEqual([{ SectionName, GuestPhysicalAddress: expect.any(Number) }]);
    const region = await machine.guest.open({ vendorId: 0x1af4, deviceId: 0x1110 });
    expect(await region.readBar(2, 0x1000, 4)).toBe(0x53535353);
    await region.writeBar(2, 0x1000, 4, 0x64636261);
    const shared = readFileSync(`/dev/shm/${section}`);
    expect(shared.subarray(0x1000, 0x1004).toString()).toBe('abcd');
    await modify('Devices/SharedMemory/Regions', 'Remove', { SectionName });
    await expect.poll(placed, PATIENCE).toEqual([]);
  });

  test.each([
    ['ERROR_FILE_NOT_FOUND', { SectionName: 'hdvkit-none' }],
    ['E_INVALIDARG', { SectionName: section, Length: 12_288 }],
    ['ERROR_INVALID_DATA', { SectionName: section, Length: 2 * MIB }],
  ])('a region is refused: %s', async (code, settings) => {
    expect((await refused('Devices/SharedMemory/Regions', 'Add', settings)).code).toBe(code);
  });
});

describe('processors', () => {
  test('are told of, with what they and the disks have done', async () => {
    const topology = await property('ProcessorTopology');
    expect(topology).toMatchObject({
      LogicalProcessorCount: 2,
      LogicalProcessors: [{ LpIndex: 0 }, { LpIndex: 1 }],
    });
    const { Statistics } = await machine.system.properties({ PropertyTypes: ['Statistics'] });
    expect(Statistics?.Processor?.TotalRuntime100ns).toBeGreaterThan(0);
    expect(Statistics?.Storage?.ReadCountNormalized).toBeGreaterThan(0);
  });

  test('come to the running guest', async () => {
    const path = 'ComputeTopology/Processor/Count';
    await modify(path, 'Update', 3);
    const online = '/sys/devices/system/cpu/cpu2/online';
    await until(`cat ${online}`, '0');
    await run(`echo 1 > ${online}`);
    expect(await run('nproc; taskset 4 grep -c ^processor /proc/cpuinfo')).toBe('3\n3');
    expect(await property('ProcessorTopology')).toMatchObject({ LogicalProcessorCount: 3 });
    for (const [count, code, reason] of [
      [2, 'ERROR_NOT_SUPPORTED', 'the machine has 3 processors, of which none goes again'],
      [9, 'E_INVALIDARG', '$.Settings is 9: use a whole number from 1 to 8'],
      [0, 'E_INVALIDARG', '$.Settings is 0'],
    ] as const) {
      const error = await refused(path, 'Update', count);
      expect(error.code).toBe(code);
      expect(error.reason).toContain(reason);
    }
    await modify(path, 'Update', 3);
    expect(processorsOfThreads()).toHaveLength(3);
  });

  test('are limited where this process may, or it is said why not', async () => {
    const limit = modify('ComputeTopology/Processor/Limits', 'Update', { Limit: 50_000 });
    const problem = await limit.then(
      () => undefined,
      (error: HcsError) => error,
    );
    if (problem !== undefined) {
      expect(problem.code).toBe('ERROR_NOT_SUPPORTED');
      expect(problem.reason).toContain('Cannot limit the processors of the machine');
    } else {
      await modify('ComputeTopology/Processor/Limits', 'Update', {});
    }
    const reserved = await refused('ComputeTopology/Processor/Limits', 'Update', {
      Reservation: 1000,
    });
    expect(reserved.code).toBe('E_NOTIMPL');
  });
});

/** What the threads of the machine's virtual processors may run on. */
function processorsOfThreads(): readonly string[] {
  const [pid] = processesOf(machine.system.id);
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).flatMap((task) => {
    try {
      if (!readFileSync(`${tasks}/${task}/comm`, 'utf8').startsWith('CPU ')) return [];
    } catch {
      return []; // One of those that come and go.
    }
    const status = readFileSync(`${tasks}/${task}/status`, 'utf8');
    return /^Cpus_allowed_list:\s+(.*)$/m.exec(status)?.[1] ?? '';
  });
}

test('virtual processors run on the processors of the group that the machine is in', async () => {
  const { computeCore } = host.binding;
  const before = processorsOfThreads();
  expect(before).toHaveLength(3);
  const [first = '0'] = before[0]?.split(/[,-]/) ?? [];
  const GroupId = randomUUID();
  const change = (Operation: string, OperationDetails: unknown): Promise<unknown> =>
    computeCore.HcsModifyServiceSettings(
      JSON.stringify({ PropertyType: 'CpuGroup', Settings: { Operation, OperationDetails } }),
    );
  await change('CreateGroup', {
    GroupId,
    LogicalProcessorCount: 1,
    LogicalProcessors: [Number(first)],
  });
  await modify('ComputeTopology/Processor/CpuGroup', 'Update', { Id: GroupId });
  expect(processorsOfThreads()).toEqual([first, first, first]);
  // One that comes is in the group as well.
  await modify('ComputeTopology/Processor/Count', 'Update', 4);
  expect(processorsOfThreads()).toEqual([first, first, first, first]);
  const none = '00000000-0000-0000-0000-000000000000';
  await modify('ComputeTopology/Processor/CpuGroup', 'Update', { Id: none });
  expect(processorsOfThreads()).toEqual([...before, before[0]]);
  await change('DeleteGroup', { GroupId });
});

test('the monitor is seen as a picture, and keyboard and mouse are there', async () => {
  const { Image } = (await property('ConsoleImage')) as { Image: string };
  const picture = Buffer.from(Image, 'base64');
  expect(picture.subarray(1, 4).toString()).toBe('PNG');
  const { PropertyResponses } = await machine.system.properties({
    Queries: { ConsoleImage: { Width: 400 } },
  });
  const { Response } = (PropertyResponses?.ConsoleImage ?? {}) as { Response: { Image: string } };
  const smaller = Buffer.from(Response.Image, 'base64');
  const shape = picture.readUInt32BE(20) / picture.readUInt32BE(16);
  expect([smaller.readUInt32BE(16), smaller.readUInt32BE(20)]).toEqual([
    400,
    Math.round(400 * shape),
  ]);
  await until('cat /proc/bus/input/devices', /QEMU USB Keyboard/);
  await until('cat /proc/bus/input/devices', /QEMU USB Tablet/);
});

test('what cannot be changed is refused with the reason', async () => {
  for (const [path, request, settings, reason] of [
    ['ComputeTopology/Processor/IdledProcessors', 'Update', { IdleProcessorCount: 1 }, 'idle'],
    ['ComputeTopology/Processor/CpuFrequencyPowerCap', 'Update', 1000, 'frequencies'],
    ['ComputeTopology/Gpu', 'Update', {}, 'no graphics processor'],
    ['Devices/VirtualPMem/Devices/2/Mappings/0', 'Add', {}, 'one image each'],
    [`Devices/VirtualPci/${INSTANCE}`, 'Add', {}, 'not assigned to machines'],
    ['Devices/Licensing', 'Update', {}, 'no licence'],
  ] as const) {
    const error = await refused(path, request, settings);
    expect(error.code).toBe('ERROR_NOT_SUPPORTED');
    expect(error.reason).toContain(reason);
  }
});

describe('a machine that is saved with what was added', () => {
  const SaveStateFilePath = (): string => join(folder, 'saved');
  let document: Document;

  beforeAll(async () => {
    const { system } = machine;
    await modify(`Devices/FlexibleIov/${INSTANCE}`, 'Remove');
    await run('echo kept > /tmp/note');
    document = withDevices(host.document() as Document);
    await system.pause();
    await system.save({ SaveType: 'ToFile', SaveStateFilePath: SaveStateFilePath() });
    await system.terminate();
  });

  const restoring = (change: Partial<NonNullable<Document['VirtualMachine']>>): Document => ({
    ...document,
    VirtualMachine: {
      ...document.VirtualMachine,
      RestoreState: { SaveStateFilePath: SaveStateFilePath() },
      ...change,
    },
  });
  const create = async (made: Document): Promise<ComputeSystem> => {
    const id = `hdvkit-${randomUUID()}`;
    const core = host.binding.computeCore;
    await grantDocument(core, id, made);
    return await ComputeSystem.create(id, made as Record<string, unknown>, { core });
  };

  test('is not restored without it', async () => {
    const error = await errorOf(() => create(restoring({})));
    expect(error.code).toBe('ERROR_VID_SAVED_STATE_INCOMPATIBLE');
    expect(error.reason).toContain('its memoryMB was 500, and the document says 256');
  });

  test('goes on with it', async () => {
    const { Devices = {}, ComputeTopology } = document.VirtualMachine ?? {};
    const system = await create(
      restoring({
        ComputeTopology: { ...ComputeTopology, Memory: { SizeInMB: 500 }, Processor: { Count: 4 } },
        Devices: {
          ...Devices,
          Scsi: {
            disks: {
              Attachments: {
                '0': { Type: 'Iso', Path: join(folder, 'second.iso') },
                '4': { Path: join(folder, 'disk.qcow2') },
                '5': { Path: join(folder, 'grows.img') },
              },
            },
            empty: {},
          },
          VirtualPMem: { Devices: { '2': { HostPath: join(folder, 'pmem.img') } } },
        },
      }),
    );
    await system.start();
    agent = await host.agent();
    expect(await run('cat /tmp/note; head -c 7 /dev/pmem0')).toBe('kept\nwritten');
    expect(await run(start(0))).toBe('222');
    expect(await run('nproc; cat /sys/devices/system/cpu/present')).toBe('3\n0-3');
    expect(await run(`cat /sys/block/$(${disk(5)})/size`)).toBe(String((3 * MIB) / 512));
    const { Memory } = await system.properties({ PropertyTypes: ['Memory'] });
    expect(Memory?.VirtualMachineMemory?.AssignedMemory).toBe(500 * 256);
    await system.terminate();
    await system.close();
  });
});
