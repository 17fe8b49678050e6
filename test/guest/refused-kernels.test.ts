import { randomUUID } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { QemuEngine } from '../../src/engines/qemu/engine.ts';
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

test.each([
  ['program', undefined, 'KernelFilePath', 'which is no kernel that QEMU boots: use a bzImage'],
  ['kernel', 'initrd', 'InitRdPath', 'which QEMU does not load'],
])(
  'what only QEMU finds wrong is said of the field that names it: %s, %s',
  async (kernel, initrd, field, text) => {
    const runtimeId = randomUUID();
    const error = await errorOf(() =>
      createGranted(new QemuEngine({ memoryRoom: 0 }), {
        id: `hdvkit-${runtimeId}`,
        runtimeId,
        document: {
          VirtualMachine: {
            Chipset: {
              LinuxKernelDirect: {
                KernelFilePath: join(folder, kernel),
                ...(initrd === undefined ? {} : { InitRdPath: join(folder, initrd) }),
              },
            },
            ComputeTopology: { Memory: { SizeInMB: 64 } },
          },
        },
        exited: () => {},
        notify: () => {},
      }),
    );
    expect([error.code, error.path]).toEqual(['ERROR_INVALID_DATA', `${DIRECT}.${field}`]);
    expect(error.reason).toContain(`is "${join(folder, initrd ?? kernel)}", ${text}`);
  },
);
