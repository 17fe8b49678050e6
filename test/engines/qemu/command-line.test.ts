import { describe, expect, test } from 'vitest';
import {
  type CommandLineOptions,
  qemuArguments,
  ROOT_PORTS,
} from '../../../src/engines/qemu/command-line.ts';
import type { MachinePlan } from '../../../src/engines/qemu/document.ts';

const PLAN: MachinePlan = {
  kernel: '/boot/vmlinux',
  initrd: '/boot/initrd',
  commandLine: 'console=ttyS0',
  uefi: false,
  memoryMB: 512,
  processors: 2,
  stopOnReset: false,
  comPorts: ['/run/a,b', undefined],
  disks: [],
  shares: [],
  savedState: undefined,
};
const OPTIONS: CommandLineOptions = {
  id: 'demo',
  runtimeId: '0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c01',
  majorVersion: 11,
  accelerator: 'tcg',
  controlSocket: '/run/qmp',
  crashLog: '/run/crash-log',
  listening: new Set(),
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
  test('backs the guest’s memory by a file that device processes can map', () => {
    expect(values('-object')).toContainEqual({
      'qom-type': 'memory-backend-memfd',
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
    expect(values('-serial')).toEqual(['chardev:com1', 'none']);
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
    } as const;
    expect(values('-blockdev', { disks: [disk] })).toEqual([
      {
        driver: 'raw',
        'node-name': 'disk0-1',
        'read-only': true,
        file: { driver: 'file', filename: '/d,isk.iso' },
      },
    ]);
    const share = { tag: 'src', path: '/s,rc', readOnly: true };
    expect(values('-fsdev', { shares: [share] })).toEqual([
      'local,id=fs0,path=/s,,rc,security_model=none,multidevs=remap,readonly=on',
    ]);
    expect(values('-device', { shares: [share] })).toContainEqual({
      driver: 'virtio-9p-pci',
      fsdev: 'fs0',
      mount_tag: 'src',
    });
  });

  test('ends with what the caller adds', () => {
    expect(qemuArguments(PLAN, { ...OPTIONS, extraArgs: ['-cpu', 'Nehalem'] }).slice(-2)).toEqual([
      '-cpu',
      'Nehalem',
    ]);
  });
});
