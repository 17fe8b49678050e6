import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EngineExit, EngineSystem } from '../../src/compute/engine.ts';
import { QemuEngine } from '../../src/engines/qemu/engine.ts';
import { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import { LinuxGuest } from '../../src/engines/qemu/linux-guest.ts';
import { readSavedState } from '../../src/engines/qemu/saved-state.ts';
import type { CrashReport, VirtualMachine } from '../../src/hcs/schema/documents.ts';

const MIB = 1024 * 1024;
/** A loaded machine takes its time. */
const PATIENCE = { timeout: 100_000, interval: 50 };

let folder: string;
let guest: LinuxGuest;
let template: EngineSystem;
const engine = new QemuEngine();
const TEMPLATE_ID = 'hdvkit-template';

interface Run {
  readonly machine: EngineSystem;
  readonly agent: GuestAgent;
  readonly ended: Promise<EngineExit>;
  readonly reports: CrashReport[];
}

/** Starts a machine: the template's own guest, or one that goes on from it. */
async function run(id: string, clone: boolean, change: VirtualMachine): Promise<Run> {
  const { VirtualMachine } = guest.document;
  const reports: CrashReport[] = [];
  let settle: (exit: EngineExit) => void = () => {};
  const ended = new Promise<EngineExit>((resolve) => {
    settle = resolve;
  });
  const machine = await engine.create({
    id,
    runtimeId: randomUUID(),
    document: {
      VirtualMachine: {
        ...VirtualMachine,
        ...change,
        Devices: {
          ...change.Devices,
          ComPorts: { '1': { NamedPipe: join(folder, `${id}.sock`) } },
        },
      },
    },
    ...(clone ? { template: TEMPLATE_ID } : {}),
    exited: settle,
    notify: ({ type, document }) => {
      if (type === 'crashed') reports.push(JSON.parse(document) as CrashReport);
    },
  });
  await machine.start([]);
  // Only now: what is said to a machine that waits for its state is lost.
  const agent = await GuestAgent.connect(join(folder, `${id}.sock`));
  return { machine, agent, ended, reports };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvc-'));
  guest = await LinuxGuest.prepare({ memory: 128 });
  const { machine, agent } = await run(TEMPLATE_ID, false, {});
  template = machine;
  await agent[Symbol.asyncDispose]();
  await machine.pause();
  await machine.save({ kind: 'template' }, new AbortController().signal);
});

afterAll(async () => {
  await template?.terminate();
  guest?.[Symbol.dispose]();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

async function crash({ agent, ended }: Run): Promise<void> {
  agent.run('echo c > /proc/sysrq-trigger').catch(() => undefined);
  await ended;
  await agent[Symbol.asyncDispose]();
}

test('a guest that crashes leaves its memory and its machine in files', async () => {
  const dump = join(folder, 'memory.dmp');
  const saved = join(folder, 'crashed.vmrs');
  writeFileSync(dump, 'of an earlier crash');
  writeFileSync(`${dump}.part`, 'of somebody else');
  const crashed = await run('one', true, {
    DebugOptions: { BugcheckSavedStateFileName: saved },
    Devices: {
      GuestCrashReporting: { WindowsCrashSettings: { DumpFileName: dump, MaxDumpSize: 512 * MIB } },
    },
  });
  await crash(crashed);
  expect(crashed.reports).toHaveLength(1);
  expect(crashed.reports[0]).toMatchObject({
    CrashLog: expect.stringMatching(/sysrq triggered crash/),
    WindowsCrashInfo: { DumpFile: dump },
    GuestCrashSaveInfo: { SaveStateFile: saved, Status: 0 },
  });
  // makedumpfile's flattened or plain kdump-compressed format.
  expect(readFileSync(dump).subarray(0, 12).toString('latin1')).toMatch(
    /^(KDUMP {3}|makedumpfile)/,
  );
  expect((await readSavedState(saved)).plan.memoryMB).toBe(128);
  expect(readFileSync(`${dump}.part`, 'utf8')).toBe('of somebody else');
  expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
});

test('a dump that is larger than it may be is not kept, and the report says so', async () => {
  const dump = join(folder, 'large.dmp');
  const crashed = await run('two', true, {
    Devices: {
      GuestCrashReporting: { WindowsCrashSettings: { DumpFileName: dump, MaxDumpSize: MIB } },
    },
  });
  await crash(crashed);
  const [report] = crashed.reports;
  expect(report?.CrashLog).toContain(
    'The dump was not written: the dump has more than the 1048576',
  );
  expect(report).not.toHaveProperty('WindowsCrashInfo');
  expect(readdirSync(folder).filter((name) => name.includes('large'))).toEqual([]);
  expect(existsSync(dump)).toBe(false);
});

test('a guest that crashes is kept where the document wants no dump, and its end is kept as well', async () => {
  const saved = join(folder, 'no-dump.vmrs');
  const end = join(folder, 'end.vmrs');
  const crashed = await run('three', true, {
    DebugOptions: {
      BugcheckNoCrashdumpSavedStateFileName: saved,
      ShutdownOrResetSavedStateFileName: end,
    },
  });
  await crash(crashed);
  expect(crashed.reports[0]).toMatchObject({
    GuestCrashSaveInfo: { SaveStateFile: saved, Status: 0 },
  });
  expect((await readSavedState(saved)).plan.memoryMB).toBe(128);
  // A crash is no end of the guest's own will.
  expect(existsSync(end)).toBe(false);
});

test('a guest that is asked to start again does, and its machine is kept as it was before', async () => {
  const end = join(folder, 'end.vmrs');
  const first = await run('four', true, {
    DebugOptions: { ShutdownOrResetSavedStateFileName: end },
  });
  const boot = (agent: GuestAgent) => agent.run('cat /proc/sys/kernel/random/boot_id');
  const before = await boot(first.agent);
  await first.machine.shutDown({ type: 'Reboot', reason: undefined });
  await expect.poll(() => existsSync(end), PATIENCE).toBe(true);
  await first.agent[Symbol.asyncDispose]();
  const again = await GuestAgent.connect(join(folder, 'four.sock'), {
    signal: AbortSignal.timeout(170_000),
  });
  expect(await boot(again)).not.toEqual(before);
  rmSync(end);
  await first.machine.shutDown({ type: 'Shutdown', reason: undefined });
  expect(await first.ended).toEqual({ exitType: 'GracefulExit', status: 0 });
  await again[Symbol.asyncDispose]();
  expect((await readSavedState(end)).plan.memoryMB).toBe(128);
});
