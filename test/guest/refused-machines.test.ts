import { randomUUID } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EngineSystem } from '../../src/compute/engine.ts';
import { QemuEngine } from '../../src/engines/qemu/engine.ts';
import type { Devices, LinuxKernelDirect } from '../../src/hcs/schema/documents.ts';
import { errorOf } from '../compute/recording-engine.ts';
import { createGranted } from './create-granted.ts';
import { tinyKernel } from './tiny-kernel.ts';

const DIRECT = '$.VirtualMachine.Chipset.LinuxKernelDirect';
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvk-'));
  writeFileSync(join(folder, 'kernel'), tinyKernel());
  // No kernel, but of the format of one.
  copyFileSync(process.execPath, join(folder, 'program'));
  writeFileSync(join(folder, 'initrd'), '');
  truncateSync(join(folder, 'initrd'), 200 * 1024 * 1024);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function create(
  LinuxKernelDirect: LinuxKernelDirect,
  Devices: Devices = {},
): Promise<EngineSystem> {
  const runtimeId = randomUUID();
  return createGranted(new QemuEngine({ memoryRoom: 0 }), {
    id: `hdvkit-${runtimeId}`,
    runtimeId,
    document: {
      VirtualMachine: {
        Chipset: { LinuxKernelDirect },
        ComputeTopology: { Memory: { SizeInMB: 64 } },
        Devices,
      },
    },
    exited: () => {},
    notify: () => {},
  });
}

test('a controller too many is said of the devices', async () => {
  const controllers = Array.from({ length: 40 }, (_, index) => [`c${index}`, {}]);
  const error = await errorOf(() =>
    create({ KernelFilePath: join(folder, 'kernel') }, { Scsi: Object.fromEntries(controllers) }),
  );
  expect([error.code, error.path]).toEqual(['ERROR_NOT_ENOUGH_QUOTA', '$.VirtualMachine.Devices']);
  expect(error.reason).toContain('attach more disks to one controller');
});

test.each([
  ['program', undefined, 'KernelFilePath', 'which is no kernel that QEMU boots: use a bzImage'],
  ['kernel', 'initrd', 'InitRdPath', 'which QEMU does not load'],
])(
  'what only QEMU finds wrong is said of the field that names it: %s, %s',
  async (kernel, initrd, field, text) => {
    const error = await errorOf(() =>
      create({
        KernelFilePath: join(folder, kernel),
        ...(initrd === undefined ? {} : { InitRdPath: join(folder, initrd) }),
      }),
    );
    expect([error.code, error.path]).toEqual(['ERROR_INVALID_DATA', `${DIRECT}.${field}`]);
    expect(error.reason).toContain(`is "${join(folder, initrd ?? kernel)}", ${text}`);
  },
);
