import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EngineExit } from '../../src/compute/engine.ts';
import { QemuEngine } from '../../src/engines/qemu/engine.ts';
import { LinuxGuest } from '../../src/engines/qemu/linux-guest.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { identifyProcess } from '../../src/provision/process-identity.ts';

const source = (path: string): string => new URL(`../../src/${path}`, import.meta.url).href;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvo-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Boots a guest that runs `command`, and resolves with what the engine reported when the machine has ended. */
async function bootAndRun(
  command: string,
  stopOnReset = false,
): Promise<{ readonly exit: EngineExit; readonly notices: readonly string[] }> {
  using guest = await LinuxGuest.prepare({ memory: 256, commands: [command] });
  const notices: string[] = [];
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
    notify: ({ type }) => notices.push(type),
  });
  await machine.start([]);
  return { exit: await ended, notices };
}

describe('the end of a machine', () => {
  test('is a crash when the guest panics', async () => {
    const { exit, notices } = await bootAndRun('echo c > /proc/sysrq-trigger');
    expect(notices).toEqual(['crashed']);
    expect(exit).toMatchObject({
      exitType: 'UnexpectedExit',
      status: HRESULT.HCS_E_GUEST_CRITICAL_ERROR,
    });
  });

  test('is graceful when the guest resets a machine that stops on reset', async () => {
    const { exit, notices } = await bootAndRun('reboot -f', true);
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
    const text = await new Promise<string>((resolve) => {
      owner.stdout.once('data', (data: Buffer) => resolve(data.toString()));
    });
    const { children, sockets } = JSON.parse(text) as { children: string[]; sockets: string[] };
    const alive = (): string[] =>
      children.filter((pid) => identifyProcess(Number(pid)) !== undefined);
    expect(alive().length).toBeGreaterThanOrEqual(2); // QEMU, and the process that watches.
    owner.kill('SIGKILL');
    await expect.poll(alive, { timeout: 20_000 }).toEqual([]);
    expect(sockets.filter((path) => existsSync(path))).toEqual([]);
    expect(readdirSync(folder)).toEqual(['owner.mts']);
  });
});
