import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { createLinuxHost } from '../../src/hosts/linux/host.ts';
import { tinyKernel } from '../guest/tiny-kernel.ts';

const QEMU = fileURLToPath(new URL('../engines/qemu/fake-qemu.mjs', import.meta.url));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvh-'));
  vi.stubEnv('XDG_RUNTIME_DIR', folder);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

test('closing the host ends the machines that are left, and leaves no file behind', async () => {
  const host = createLinuxHost({ engine: { qemu: QEMU, accounts: 'service' } });
  const kernel = join(folder, 'vmlinux');
  writeFileSync(kernel, tinyKernel());
  const document = {
    VirtualMachine: { Chipset: { LinuxKernelDirect: { KernelFilePath: kernel } } },
  };
  const core = host.computeCore;
  const system = await ComputeSystem.create('left', document, { core });
  await system.start();
  const { exited } = system;
  await host.close();
  expect((await exited).ExitType).toBe('ForcedExit');
  expect(readdirSync(folder)).toEqual(['vmlinux']);
  await host.close();
});
