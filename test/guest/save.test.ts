import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { QemuEngine } from '../../src/engines/qemu/engine.ts';
import { createSimulatedHost } from '../../src/hosts/simulated/host.ts';
import { ComputeSystem } from '../../src/index.ts';
import { errorOf } from '../compute/recording-engine.ts';
import type { TestHost } from '../host/conformance.ts';
import { describeSave, type SaveTestHost } from '../host/conformance-save.ts';
import { createGranted } from './create-granted.ts';
import { ImageMaker } from './disk-images.ts';
import { openLinuxHost } from './linux-test-host.ts';
import { tinyKernel } from './tiny-kernel.ts';

async function open(): Promise<SaveTestHost> {
  const host = await openLinuxHost();
  return {
    ...host,
    async noteOf() {
      const agent = await host.agent();
      return {
        async read() {
          // What runs in the guest runs on as well.
          const { stdout } = await agent.run('cat /tmp/note; kill -0 $(cat /tmp/pid)');
          return stdout.trim();
        },
        async write(text) {
          await agent.run(`echo ${text} > /tmp/note; sleep 1000 & echo $! > /tmp/pid`);
        },
      };
    },
  };
}

describeSave('linux', open);

test('a machine with an image of a format that QEMU saves nothing with says which, and goes on', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'hdvs-'));
  const images = await ImageMaker.start();
  const engine = new QemuEngine({ memoryRoom: 0 });
  const kernel = join(folder, 'kernel');
  writeFileSync(kernel, tinyKernel());
  try {
    for (const [name, format] of [
      ['disk.vhdx', 'vhdx'],
      ['disk.vhd', 'vpc'],
    ] as const) {
      const path = join(folder, name);
      await images.create(path, format, 1024 * 1024, 'x');
      const runtimeId = randomUUID();
      const system = await createGranted(engine, {
        id: `hdvkit-${runtimeId}`,
        runtimeId,
        document: {
          VirtualMachine: {
            Chipset: { LinuxKernelDirect: { KernelFilePath: kernel } },
            ComputeTopology: { Memory: { SizeInMB: 64 } },
            Devices: {
              Scsi: { c: { Attachments: { 0: { Type: 'VirtualDisk', Path: path } } } },
            },
          },
        },
        exited: () => {},
        notify: () => {},
      });
      try {
        await system.start([]);
        await system.pause();
        const saved = join(folder, 'saved');
        const error = await errorOf(() => system.save({ kind: 'file', path: saved }));
        expect([error.code, error.message]).toEqual([
          'ERROR_NOT_SUPPORTED',
          expect.stringContaining(`as it has the disk "${path}"`),
        ]);
        expect(existsSync(saved)).toBe(false);
        await system.resume();
      } finally {
        await system.terminate();
      }
    }
  } finally {
    await images.close();
    rmSync(folder, { recursive: true });
  }
});

type FullDiskHost = Pick<TestHost, 'binding' | 'document' | 'close'> & {
  /** Gives a machine something to save. */
  fill?(id: string): void;
};

const hosts: readonly (readonly [string, () => Promise<FullDiskHost>])[] = [
  ['linux', () => openLinuxHost()],
  ['simulated', openSimulated],
];

test.each(hosts)(
  'a full disk keeps the old file, and no part of the new one: %s',
  async (_name, openHost) => {
    const folder = mkdtempSync(join(tmpdir(), 'hdvs-'));
    const other = mkdtempSync(join(tmpdir(), 'hdvs-'));
    const host = await openHost();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'hdvkit-test', folder]);
    try {
      const core = host.binding.computeCore;
      const id = `hdvkit-${randomUUID()}`;
      await using system = await ComputeSystem.create(id, host.document(), { core });
      await system.start();
      host.fill?.(id);
      await system.pause();
      const SaveStateFilePath = join(folder, 'saved');
      writeFileSync(SaveStateFilePath, 'old');
      const error = await errorOf(() => system.save({ SaveStateFilePath }));
      expect([error.function, error.code, error.path]).toEqual([
        'HcsSaveComputeSystem',
        'ERROR_DISK_FULL',
        '$.SaveStateFilePath',
      ]);
      expect(error.reason).toBe(
        `$.SaveStateFilePath "${SaveStateFilePath}" cannot be used: the disk is full: make room`,
      );
      expect(readdirSync(folder)).toEqual(['saved']);
      expect(readFileSync(SaveStateFilePath, 'utf8')).toBe('old');
      // The machine is as it was: it is saved where there is room, and goes on.
      expect((await system.properties()).State).toBe('Paused');
      const elsewhere = join(other, 'saved');
      await system.save({ SaveStateFilePath: elsewhere });
      expect(statSync(elsewhere).size).toBeGreaterThan(1024 * 1024);
      // What was written once is not written by QEMU again.
      const again = await errorOf(() => system.save({ SaveStateFilePath }));
      expect(again.code).toBe('ERROR_DISK_FULL');
      expect(readdirSync(folder)).toEqual(['saved']);
      expect(readFileSync(SaveStateFilePath, 'utf8')).toBe('old');
      await system.resume();
      expect((await system.properties()).State).toBe('Running');
    } finally {
      execFileSync('umount', [folder]);
      for (const one of [folder, other]) rmSync(one, { recursive: true });
      await host.close();
    }
  },
);

async function openSimulated(): Promise<FullDiskHost> {
  const binding = createSimulatedHost();
  return {
    binding,
    document: () => ({ VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 4 } } } }),
    fill: (id: string) => void binding.machineOf(id)?.ram.write(0, Buffer.alloc(0x20_0000, 1)),
    close: () => binding.close(),
  };
}
