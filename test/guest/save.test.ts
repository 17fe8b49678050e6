import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createSimulatedHost } from '../../src/hosts/simulated/host.ts';
import { ComputeSystem } from '../../src/index.ts';
import { errorOf } from '../compute/recording-engine.ts';
import type { TestHost } from '../host/conformance.ts';
import { describeSave, type SaveTestHost } from '../host/conformance-save.ts';
import { openLinuxHost } from './linux-test-host.ts';

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
      expect(error.reason).toMatch(/No space left on device|the disk is full: make room/);
      expect(readdirSync(folder)).toEqual(['saved']);
      expect(readFileSync(SaveStateFilePath, 'utf8')).toBe('old');
    } finally {
      execFileSync('umount', [folder]);
      rmSync(folder, { recursive: true });
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
