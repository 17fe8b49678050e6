import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EngineExit, EngineSystem } from '../../src/compute/engine.ts';
import { QemuEngine } from '../../src/engines/qemu/engine.ts';
import { LinuxGuest } from '../../src/engines/qemu/linux-guest.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { identifyProcess, isAlive } from '../../src/provision/process-identity.ts';
import { until } from '../cli/run-cli.ts';

const source = (path: string): string => new URL(`../../src/${path}`, import.meta.url).href;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvo-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Run {
  readonly machine: EngineSystem;
  readonly guest: LinuxGuest;
  readonly notices: readonly { readonly type: string; readonly document: string }[];
  readonly ended: Promise<EngineExit>;
}

/** Boots a guest that runs `command`. */
async function boot(command: string, stopOnReset = false): Promise<Run> {
  const guest = await LinuxGuest.prepare({ memory: 256, commands: [command] });
  const notices: Run['notices'][number][] = [];
  let settle: (exit: EngineExit) => void = () => {};
  const ended = new Promise<EngineExit>((resolve) => {
    settle = resolve;
  });
  const { VirtualMachine } = guest.document;
  const machine = await new QemuEngine().create({
    id: 'hdvkit-end',
    runtimeId: randomUUID(),
    document: {
      ...guest.document,
      VirtualMachine: { ...VirtualMachine, StopOnReset: stopOnReset },
    },
    exited: settle,
    notify: (event) => notices.push(event),
  });
  await machine.start([]);
  return { machine, guest, notices, ended };
}

/** What the report of the crash says that the guest wrote last. */
function crashLog(notices: Run['notices']): string {
  const report = JSON.parse(notices.at(-1)?.document ?? '{}') as { CrashLog?: string };
  return report.CrashLog ?? '';
}

describe('the end of a machine', () => {
  test('is a crash when the guest panics, with its messages', async () => {
    const { guest, ended, notices } = await boot('echo c > /proc/sysrq-trigger');
    const exit = await ended;
    guest[Symbol.dispose]();
    expect(notices.map(({ type }) => type)).toEqual(['crashBegun', 'crashed']);
    expect(crashLog(notices)).toMatch(/Kernel panic - not syncing: sysrq triggered crash/);
    expect(crashLog(notices)).toMatch(/Call Trace:/);
    expect(exit).toMatchObject({
      exitType: 'UnexpectedExit',
      status: HRESULT.HCS_E_GUEST_CRITICAL_ERROR,
    });
  });

  test('is a crash when the host asks for one, in a guest that panics for it', async () => {
    const { guest, machine, ended, notices } = await boot('true');
    const agent = await guest.connectAgent();
    await agent.run('echo 1 > /proc/sys/kernel/unknown_nmi_panic');
    await machine.crash();
    await ended;
    await agent[Symbol.asyncDispose]();
    guest[Symbol.dispose]();
    expect(notices.map(({ type }) => type)).toEqual(['crashBegun', 'crashed']);
    expect(crashLog(notices)).toMatch(/Kernel panic - not syncing: NMI/);
  });

  test('is graceful when the guest resets a machine that stops on reset', async () => {
    const { guest, ended, notices } = await boot('reboot -f', true);
    const exit = await ended;
    guest[Symbol.dispose]();
    expect(exit).toEqual({ exitType: 'GracefulExit', status: 0 });
    expect(notices).toEqual([]);
  });

  test('comes with the end of its owner, even by kill -9, and nothing is left', async () => {
    const program = join(folder, 'owner.mts');
    writeFileSync(
      program,
      `import { randomUUID } from 'node:crypto';
       import { readFileSync, readdirSync } from 'node:fs';
       import { QemuEngine } from '${source('engines/qemu/engine.ts')}';
       import { LinuxGuest } from '${source('engines/qemu/linux-guest.ts')}';
       const guest = await LinuxGuest.prepare({ memory: 256 });
       const machine = await new QemuEngine().create({
         id: 'hdvkit-owned', runtimeId: randomUUID(), document: guest.document,
         exited: () => {}, notify: () => {},
       });
       await machine.start([]);
       const children = readdirSync('/proc/self/task').flatMap((tid) =>
         readFileSync('/proc/self/task/' + tid + '/children', 'utf8').trim().split(' '));
       console.log(JSON.stringify({ children, sockets: [guest.consolePath, guest.agentPath] }));`,
    );
    const owner = spawn(
      process.execPath,
      ['--import', 'tsx', '--conditions=hdvkit-source', program],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, XDG_RUNTIME_DIR: folder },
      },
    );
    const text = await until(owner.stdout, '\n');
    const { children, sockets } = JSON.parse(text) as { children: string[]; sockets: string[] };
    // Others may have the same numbers later.
    const processes = children.flatMap((pid) => identifyProcess(Number(pid)) ?? []);
    const alive = (): number[] => processes.filter(isAlive).map(({ pid }) => pid);
    expect(alive().length).toBeGreaterThanOrEqual(2); // QEMU, and the process that watches.
    owner.kill('SIGKILL');
    await expect.poll(alive).toEqual([]);
    expect(sockets.filter((path) => existsSync(path))).toEqual([]);
    expect(readdirSync(folder)).toEqual(['owner.mts']);
  });
});
