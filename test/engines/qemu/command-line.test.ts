import { describe, expect, test } from 'vitest';
import { type CommandLineOptions, qemuArguments } from '../../../src/engines/qemu/command-line.ts';
import { HandedFiles } from '../../../src/engines/qemu/handed-files.ts';
import { planHardware } from '../../../src/engines/qemu/hardware/hardware.ts';
import { planHosting } from '../../../src/engines/qemu/hardware/hosting.ts';
import { planProcessorModel } from '../../../src/engines/qemu/hardware/processor-model.ts';
import type { MachinePlan } from '../../../src/engines/qemu/machine-plan.ts';
import { ROOT_PORTS, RootPorts } from '../../../src/engines/qemu/root-ports.ts';

const NO_FILES = {
  dumpLimit: undefined,
  savedState: undefined,
  savedStateWithoutDump: undefined,
  endState: undefined,
};
const PLAN: MachinePlan = {
  kernel: '/boot/vmlinux',
  initrd: '/boot/initrd',
  commandLine: 'console=ttyS0',
  uefi: false,
  secureBoot: undefined,
  bootFirst: undefined,
  hardware: planHardware({}, { nodes: [], sockets: undefined, distances: undefined }),
  hosting: planHosting(''),
  memoryMB: 512,
  processors: 2,
  stopOnReset: false,
  comPorts: ['/run/a,b', undefined],
  controllers: [],
  disks: [],
  storageLimits: undefined,
  adapters: [],
  persistentMemory: [],
  sharedMemory: [],
  serialPorts: [],
  console: { monitor: undefined, keyboard: false, mouse: false },
  processorLimits: undefined,
  guestState: undefined,
  tpm: undefined,
  isTransient: false,
  crashFiles: { dump: undefined, ...NO_FILES },
  shares: [],
  hvSocket: undefined,
  savedState: undefined,
};
const OPTIONS: CommandLineOptions = {
  id: 'demo',
  runtimeId: '0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c01',
  majorVersion: 11,
  accelerator: 'tcg',
  crashLog: '/run/crash-log',
  listening: new Set(),
  files: new HandedFiles(undefined),
  memory: { baseMB: 512, roomMB: 1024 },
  memoryFds: [3],
  ports: new RootPorts(),
  sides: { socketOf: (device) => `/run/${device}` },
  sandbox: true,
};

/** Values of an option, in order; those that are JSON parsed. */
function values(
  option: string,
  plan: Partial<MachinePlan> = {},
  options: Partial<CommandLineOptions> = {},
) {
  const args = qemuArguments({ ...PLAN, ...plan }, { ...OPTIONS, ...options });
  return args.flatMap((arg, index) => {
    if (arg !== option) return [];
    const value = args[index + 1] as string;
    return value.startsWith('{') ? (JSON.parse(value) as Record<string, unknown>) : value;
  });
}

describe('QEMU’s command line', () => {
  test('takes from the processor what the document does not expose', () => {
    expect(values('-cpu')).toEqual(['max,svm=off']);
    expect(values('-cpu', {}, { accelerator: 'kvm' })).toEqual(['host,svm=off,vmx=off']);
    const processor = planProcessorModel('', {
      ExposeVirtualizationExtensions: true,
      DisableSpeculationControls: true,
    });
    const hardware = { ...PLAN.hardware, processor };
    expect(values('-cpu', { hardware })[0]).toMatch(/^max,svm=on,spec-ctrl=off,stibp=off,/);
    expect(values('-cpu', { hardware }, { accelerator: 'kvm' })[0]).toMatch(/^host,spec-ctrl=off,/);
  });

  test('has room for processors that come, but in nodes and sockets', () => {
    expect(values('-smp')).toEqual(['2,maxcpus=8']);
    expect(values('-smp', { processors: 12 })).toEqual(['12,maxcpus=12']);
    const numa = { nodes: [], sockets: 2, distances: undefined };
    const hardware = { ...PLAN.hardware, numa };
    expect(values('-smp', { processors: 4, hardware })).toEqual(['4,maxcpus=4,sockets=2,cores=2']);
  });

  test('hands the options of a file of VmbFs to it as its command line', () => {
    const plan = { commandLine: 'some options', uefi: true };
    expect(values('-append', plan)).toEqual(['some options']);
  });

  test('backs the guest’s memory by a file that device processes can map', () => {
    expect(values('-object')).toContainEqual({
      'qom-type': 'memory-backend-file',
      'mem-path': '/proc/self/fd/3',
      id: 'ram',
      size: 512 * 2 ** 20,
      share: true,
    });
    expect(values('-machine')).toEqual(['q35,memory-backend=ram']);
  });

  test('boots by UEFI from flash images, of which only its variables are written', () => {
    const firmware = {
      code: { path: '/share/code.fd', format: 'raw' },
      variables: { path: '/run/variables', format: 'qcow2' },
    } as const;
    const plan = { kernel: undefined, initrd: undefined, commandLine: '', uefi: true };
    expect(values('-machine', plan, { firmware })).toEqual([
      'q35,memory-backend=ram,pflash0=code,pflash1=variables',
    ]);
    expect(values('-blockdev', plan, { firmware })).toEqual([
      {
        driver: 'raw',
        'node-name': 'code',
        'read-only': true,
        file: { driver: 'file', filename: '/share/code.fd' },
      },
      {
        driver: 'qcow2',
        'node-name': 'variables',
        'read-only': false,
        file: { driver: 'file', filename: '/run/variables' },
      },
    ]);
    expect(values('-kernel', plan, { firmware })).toEqual([]);
  });

  test('waits for the start, and stays after the end to say how it ended', () => {
    expect(qemuArguments(PLAN, OPTIONS)).toContain('-S');
    expect(values('-action')).toEqual(['shutdown=pause,panic=none,reboot=reset']);
    expect(values('-action', { stopOnReset: true })).toEqual([
      'shutdown=pause,panic=none,reboot=shutdown',
    ]);
  });

  test('has a root port for each device that may come', () => {
    const ports = values('-device').filter(
      (device) => (device as { driver?: string }).driver === 'pcie-root-port',
    );
    expect(ports).toHaveLength(ROOT_PORTS);
    expect(new Set(ports.map((port) => (port as { id?: string }).id)).size).toBe(ROOT_PORTS);
  });

  test('makes a COM port’s socket, or connects where somebody listens', () => {
    expect(values('-serial')).toEqual(['chardev:com1', 'chardev:com2']);
    expect(values('-chardev')).toContain('null,id=com2');
    expect(values('-chardev')).toContain('socket,id=com1,path=/run/a,,b,server=on,wait=off');
    expect(values('-chardev', {}, { listening: new Set(['/run/a,b']) })).toContain(
      'socket,id=com1,path=/run/a,,b,server=off',
    );
  });

  test('opens the control connection in the form of its version', () => {
    expect(values('-object')).toContain('monitor-qmp,id=qmp,chardev=control');
    expect(values('-mon', {}, { majorVersion: 10 })).toEqual(['chardev=control,mode=control']);
  });

  test('keeps commas of names from being options', () => {
    expect(values('-name', {}, { id: 'a,b' })).toEqual(['guest=a,,b,debug-threads=on']);
  });

  test('attaches disks and shares', () => {
    const disk = {
      controller: 0,
      lun: 1,
      path: '/d,isk.iso',
      format: 'raw',
      readOnly: true,
      isIso: true,
      isUncached: false,
      ignoresFlushes: false,
    } as const;
    expect(values('-blockdev', { controllers: ['a'], disks: [disk] })).toEqual([
      {
        driver: 'raw',
        'node-name': 'disk0-1',
        'read-only': true,
        file: { driver: 'file', filename: '/d,isk.iso' },
      },
    ]);
    const share = { kind: 'Plan9', tag: 'src', path: '/s,rc', readOnly: true } as const;
    expect(values('-fsdev', { shares: [share] })).toEqual([
      'local,id=fs0,path=/s,,rc,security_model=none,multidevs=remap,readonly=on',
    ]);
    expect(values('-device', { shares: [share] })).toContainEqual({
      driver: 'virtio-9p-pci',
      fsdev: 'fs0',
      mount_tag: 'src',
    });
  });

  test('has the controllers of the document, also those with nothing attached', () => {
    const controllers = values('-device', { controllers: ['a', 'b'] }).filter(
      (device) => (device as { driver?: string }).driver === 'virtio-scsi-pci',
    );
    expect(controllers).toEqual([
      { driver: 'virtio-scsi-pci', id: 'scsi0', num_queues: 8 },
      { driver: 'virtio-scsi-pci', id: 'scsi1', num_queues: 8 },
    ]);
  });

  test('leaves room for memory that comes later', () => {
    expect(values('-m')).toEqual(['size=512M,slots=1,maxmem=17920M']);
    expect(values('-m', {}, { memory: { baseMB: 512, roomMB: 0 } })).toEqual(['size=512M']);
  });

  test('puts a machine that goes on behind the ports that its devices had', () => {
    const ports = new RootPorts({ 'net-b': 0, balloon: 4, 'hot-memory': 7 });
    const adapter = {
      endpoint: { kind: 'user' },
      endpointId: undefined,
      mac: '00:15:5d:00:00:01',
      isConnected: true,
    } as const;
    const plan = {
      adapters: [
        { ...adapter, id: 'a' },
        { ...adapter, id: 'b' },
      ],
      memoryMB: 640,
    };
    const restore = {
      machineType: 'pc-q35-11.1',
      isClone: false,
      memoryAddresses: { 'hot-memory': 2 ** 32 },
    };
    const devices = values('-device', plan, { ports, restore }) as { id?: string; bus?: string }[];
    const behind = devices.filter(({ bus }) => bus?.startsWith('rp'));
    expect(behind.map(({ id, bus }) => [id, bus])).toEqual([
      ['net-a', 'rp1'],
      ['net-b', 'rp0'],
      ['balloon', 'rp4'],
      ['hot-memory', 'rp7'],
    ]);
    expect(behind.at(-1)).toMatchObject({ 'requested-size': 128 * 2 ** 20, memaddr: 2 ** 32 });
  });

  test('ends with what the caller adds', () => {
    expect(qemuArguments(PLAN, { ...OPTIONS, extraArgs: ['-cpu', 'Nehalem'] }).slice(-2)).toEqual([
      '-cpu',
      'Nehalem',
    ]);
  });
});
