import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import { INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import type { ComputeSystem, RestoreState } from '../../src/hcs/schema/documents.ts';
import { errorOf } from '../compute/recording-engine.ts';
import { type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';

let folder: string;
let host: LinuxTestHost;
/** Ids of systems that are there. */
const systems = new Map<string, HCS_SYSTEM>();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvs-'));
  host = await openLinuxHost();
});

afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true, force: true });
});

async function run(start: (operation: HCS_OPERATION) => void): Promise<void> {
  const { computeCore: core } = host.binding;
  const operation = core.HcsCreateOperation(null, null);
  try {
    start(operation);
    await core.HcsWaitForOperationResult(operation, INFINITE);
  } finally {
    core.HcsCloseOperation(operation);
  }
}

async function create(change: (document: ComputeSystem) => ComputeSystem): Promise<HCS_SYSTEM> {
  const { computeCore: core } = host.binding;
  const id = `hdvkit-${randomUUID()}`;
  const document = JSON.stringify(change(host.document() as ComputeSystem));
  let system: HCS_SYSTEM | undefined;
  await run((operation) => {
    system = core.HcsCreateComputeSystem(id, document, operation, null);
  });
  systems.set(id, system as HCS_SYSTEM);
  return system as HCS_SYSTEM;
}

const restoring = (restore: RestoreState) => (document: ComputeSystem) => ({
  ...document,
  VirtualMachine: { ...document.VirtualMachine, RestoreState: restore },
});

const start = (system: HCS_SYSTEM) =>
  run((o) => host.binding.computeCore.HcsStartComputeSystem(system, o, null));
const pause = (system: HCS_SYSTEM) =>
  run((o) => host.binding.computeCore.HcsPauseComputeSystem(system, o, null));
const resume = (system: HCS_SYSTEM) =>
  run((o) => host.binding.computeCore.HcsResumeComputeSystem(system, o, null));
const save = (system: HCS_SYSTEM, options: unknown) =>
  run((o) => host.binding.computeCore.HcsSaveComputeSystem(system, o, JSON.stringify(options)));
const terminate = (system: HCS_SYSTEM) =>
  run((o) => host.binding.computeCore.HcsTerminateComputeSystem(system, o, null));

async function output(agent: GuestAgent, command: string): Promise<string> {
  const { stdout } = await agent.run(command);
  return stdout.trim();
}

test('a machine goes on from the file that it was saved to', async () => {
  const path = join(folder, 'saved');
  const system = await create((document) => document);
  await start(system);
  const agent = await host.agent();
  await output(agent, 'echo kept > /tmp/note; sleep 1000 & echo $! > /tmp/pid');
  await pause(system);
  await save(system, { SaveType: 'ToFile', SaveStateFilePath: path });
  expect(readdirSync(folder)).toEqual(['saved']);
  await resume(system);
  expect(await output(agent, 'cat /tmp/note')).toBe('kept');
  await output(agent, 'echo changed > /tmp/note');
  await terminate(system);

  const again = await create(restoring({ SaveStateFilePath: path }));
  await start(again);
  const restored = await host.agent();
  expect(await output(restored, 'cat /tmp/note; kill -0 $(cat /tmp/pid) && echo alive')).toBe(
    'kept\nalive',
  );
  await terminate(again);
});

test('two clones go on from one template, each with memory of its own, also when it has ended', async () => {
  const template = await create((document) => document);
  await start(template);
  const agent = await host.agent();
  await output(agent, 'echo template > /tmp/note');
  await pause(template);
  await save(template, { SaveType: 'AsTemplate' });
  const TemplateSystemId = [...systems].find(([, system]) => system === template)?.[0] as string;
  const first = await create(restoring({ TemplateSystemId }));
  await start(first);
  const one = await host.agent();
  await output(one, 'echo first > /tmp/note');
  const second = await create(restoring({ TemplateSystemId }));
  await start(second);
  const two = await host.agent();
  expect(await output(two, 'cat /tmp/note')).toBe('template');
  await terminate(template);
  expect(await output(one, 'cat /tmp/note')).toBe('first');
  const error = await errorOf(() => create(restoring({ TemplateSystemId })));
  expect(error.code).toBe('HCS_E_SYSTEM_NOT_FOUND');
  await terminate(first);
  await terminate(second);
});

describe('a machine that is saved', () => {
  let system: HCS_SYSTEM;
  let path: string;

  beforeAll(async () => {
    path = join(folder, 'other');
    system = await create((document) => document);
    await start(system);
    await pause(system);
    await save(system, { SaveStateFilePath: path });
  });

  afterAll(() => terminate(system));

  test.each([
    ['saved', 'ERROR_PATH_NOT_FOUND', '/no/such/folder/saved'],
    ['relative', 'E_INVALIDARG', 'saved'],
    ['a folder', 'ERROR_FILE_EXISTS', tmpdir()],
  ])('goes nowhere but to a file: %s', async (_what, code, SaveStateFilePath) => {
    const error = await errorOf(() => save(system, { SaveStateFilePath }));
    expect(error.code).toBe(code);
    expect(error.reason).toContain(SaveStateFilePath);
  });

  test('keeps the old file when the disk is full, and leaves no part of the new one', async () => {
    const small = join(folder, 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'hdvkit-test', small]);
    try {
      writeFileSync(join(small, 'saved'), 'old');
      const SaveStateFilePath = join(small, 'saved');
      await resume(system);
      await pause(system);
      const error = await errorOf(() => save(system, { SaveStateFilePath }));
      expect(error.reason).toMatch(/No space left on device/);
      expect(readdirSync(small)).toEqual(['saved']);
      expect(readFileSync(SaveStateFilePath, 'utf8')).toBe('old');
    } finally {
      execFileSync('umount', [small]);
    }
  });

  test('can be saved again while it is paused, though the first file is gone', async () => {
    const [first, second] = [join(folder, 'first'), join(folder, 'second')];
    await save(system, { SaveStateFilePath: first });
    const bytes = readFileSync(first);
    rmSync(first);
    await save(system, { SaveStateFilePath: second });
    expect(readFileSync(second).equals(bytes)).toBe(true);
  });

  test('is not restored from a file that is damaged', async () => {
    const damaged = join(folder, 'damaged');
    for (const [change, text] of [
      [() => truncateSync(damaged, 10_000_000), 'is damaged: its checksum does not match'],
      [() => truncateSync(damaged, 100), 'has no machine that was saved by this host'],
      [() => writeFileSync(damaged, 'x'.repeat(100_000)), 'has no machine'],
    ] as const) {
      copyFileSync(path, damaged);
      change();
      const error = await errorOf(() => create(restoring({ SaveStateFilePath: damaged })));
      expect(error.code).toBe('ERROR_VID_SAVED_STATE_CORRUPT');
      expect(error.reason).toContain(text);
    }
  });

  test('is not restored into a machine of another make', async () => {
    const error = await errorOf(() =>
      create((document) => {
        const { VirtualMachine } = restoring({ SaveStateFilePath: path })(document);
        const ComputeTopology = { Memory: { SizeInMB: 128 } };
        return { ...document, VirtualMachine: { ...VirtualMachine, ComputeTopology } };
      }),
    );
    expect(error.code).toBe('ERROR_VID_SAVED_STATE_INCOMPATIBLE');
    expect(error.reason).toContain('its memoryMB was 256, and the document says 128');
  });
});
