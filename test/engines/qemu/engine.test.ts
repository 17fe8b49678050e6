import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EngineExit, EngineSystem } from '../../../src/compute/engine.ts';
import { QemuEngine, type QemuEngineOptions } from '../../../src/engines/qemu/engine.ts';
import { HRESULT } from '../../../src/hcs/hresult.ts';
import { tinyKernel } from '../../guest/tiny-kernel.ts';

/** A loaded machine takes its time. */
const PATIENCE = { timeout: 30_000 };
const QEMU = fileURLToPath(new URL('fake-qemu.mjs', import.meta.url));
const { XDG_RUNTIME_DIR } = process.env;
let folder: string;
let exits: EngineExit[];
let notices: string[];
let documents: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdve-'));
  process.env.XDG_RUNTIME_DIR = folder;
  exits = [];
  notices = [];
  documents = [];
});

afterEach(() => {
  if (XDG_RUNTIME_DIR === undefined) delete process.env.XDG_RUNTIME_DIR;
  else process.env.XDG_RUNTIME_DIR = XDG_RUNTIME_DIR;
  rmSync(folder, { recursive: true, force: true });
});

async function create(
  mode: string,
  com?: string,
  options: QemuEngineOptions = {},
): Promise<EngineSystem> {
  const kernel = join(folder, 'vmlinux');
  writeFileSync(kernel, tinyKernel());
  const engine = new QemuEngine({ qemu: QEMU, extraArgs: ['-fake', mode], ...options });
  const document = {
    VirtualMachine: {
      Chipset: { LinuxKernelDirect: { KernelFilePath: kernel } },
      Devices: { ComPorts: { '0': { NamedPipe: com ?? join(folder, 'com1') } } },
    },
  };
  engine.check(document);
  await engine.files.grant({ kind: 'group' }, kernel);
  return await engine.create({
    id: 'demo, one',
    runtimeId: randomUUID(),
    document,
    exited: (exit) => exits.push(exit),
    notify: ({ type, document }) => {
      notices.push(type);
      documents.push(document);
    },
  });
}

/** What the engine keeps in the folder for runtime files. */
function left(): string[] {
  return readdirSync(folder).filter((name) => name !== 'vmlinux');
}

describe('a machine', () => {
  test('runs without a sandbox where QEMU was built without one, which is said once', async () => {
    const bare = join(folder, 'bare-qemu');
    writeFileSync(bare, `#!/bin/sh\n[ "$1" = --help ] && exit\nexec ${QEMU} "$@"\n`, {
      mode: 0o755,
    });
    const warnings: string[] = [];
    const listen = ({ message }: Error): void => void warnings.push(message);
    process.on('warning', listen);
    for (let i = 0; i < 2; i++) {
      const machine = await create('', undefined, { qemu: bare, accounts: 'service' });
      await machine.terminate();
    }
    process.off('warning', listen);
    expect(warnings).toEqual([
      `Machines run without QEMU's sandbox, as ${bare} was built without it: use a QEMU with seccomp, such as "hdvkit provision" brings`,
    ]);
  });

  test('is created, started, paused and terminated, and leaves nothing behind', async () => {
    const machine = await create('');
    expect(left()).toHaveLength(2);
    await machine.start([]);
    await machine.pause();
    await machine.resume();
    await machine.terminate();
    expect(exits).toEqual([{ exitType: 'ForcedExit', status: HRESULT.S_OK }]);
    expect(left()).toEqual([]);
  });

  test('that its guest shuts down has ended gracefully', async () => {
    const machine = await create('');
    await machine.start([]);
    await machine.shutDown({ type: 'Shutdown', reason: undefined });
    await expect
      .poll(() => exits, PATIENCE)
      .toEqual([{ exitType: 'GracefulExit', status: HRESULT.S_OK }]);
    expect(left()).toEqual([]);
  });

  test('whose guest panics reports the crash before its end', async () => {
    const machine = await create('panic');
    await machine.start([]);
    await expect.poll(() => exits, PATIENCE).toHaveLength(1);
    expect(notices).toEqual(['crashBegun', 'crashed']);
    expect(exits[0]).toMatchObject({
      exitType: 'UnexpectedExit',
      status: HRESULT.HCS_E_GUEST_CRITICAL_ERROR,
    });
  });

  test('whose guest panics is reported without its messages where these cannot be read', async () => {
    const machine = await create('panic');
    const [own = ''] = left().filter((name) => name.startsWith('hdvq-'));
    rmSync(join(folder, own, 'crash-log'));
    await machine.start([]);
    await expect.poll(() => exits, PATIENCE).toHaveLength(1);
    expect(documents).toEqual([
      expect.anything(),
      expect.stringContaining('The messages of the guest were not read: ENOENT'),
    ]);
  });

  test('whose COM port’s socket has become something else ends all the same, and says what is left', async () => {
    const path = join(folder, 'com1');
    const machine = await create('', path);
    await machine.start([]);
    rmSync(path);
    mkdirSync(path);
    await machine.terminate();
    expect(exits).toMatchObject([
      { exitType: 'ForcedExit', detail: expect.stringContaining(path) },
    ]);
  });

  test('whose QEMU dies has ended unexpectedly, with its last words', async () => {
    const machine = await create('abort');
    await machine.start([]).catch(() => undefined); // The answer and the end race.
    await expect.poll(() => exits, PATIENCE).toHaveLength(1);
    expect(exits[0]?.exitType).toBe('UnexpectedExit');
    expect(exits[0]?.detail).toBe('QEMU ended: signal SIGABRT: qemu: memory.c: assertion failed');
    expect(left()).toEqual([]);
  });

  test('tells its memory and what it has used', async () => {
    const machine = await create('');
    const { Memory, Statistics } = await machine.properties(['Memory', 'Statistics', 'Other']);
    expect(Memory).toMatchObject({ VirtualMachineMemory: { AssignedMemory: 131_072 } });
    expect(Statistics).toMatchObject({ Processor: { TotalRuntime100ns: expect.any(Number) } });
    await machine.terminate();
  });
});

describe('a machine that cannot be made', () => {
  test('says why in QEMU’s words, and leaves nothing behind', async () => {
    await expect(create('refuse-start')).rejects.toThrow(
      /QEMU did not start: exit code 1: .*-kernel: it is all wrong/,
    );
    expect(left()).toEqual([]);
    expect(exits).toEqual([]);
  });

  test('leaves no socket of its COM port behind, even where machines outlive their owner', async () => {
    for (const outlives of [false, true]) {
      const options = { outlives, folder: join(folder, 'kept') };
      await expect(create('refuse-late', undefined, options)).rejects.toThrow(/no such thing/);
      expect(left().filter((name) => name !== 'kept')).toEqual([]);
    }
    expect(readdirSync(join(folder, 'kept'))).toEqual([]);
  });

  test('is one whose COM port’s path is taken', async () => {
    const path = join(folder, 'taken');
    writeFileSync(path, 'mine');
    await expect(create('', path)).rejects.toThrow(
      `$.VirtualMachine.Devices.ComPorts["0"].NamedPipe is "${path}", and no socket can be made there: the path exists and nobody listens on it; remove it or use another (ERROR_FILE_EXISTS`,
    );
    expect(left()).toEqual(['taken']);
  });
});

test('a COM port is connected to a socket where somebody listens already', async () => {
  const path = join(folder, 'mine');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  let connections = 0;
  server.on('connection', () => connections++);
  const machine = await create('', path);
  // The stand-in connects to nothing, nor does looking for the listener: a service that is root connects for QEMU.
  await expect.poll(() => connections, PATIENCE).toBe(process.getuid?.() === 0 ? 1 : 0);
  await machine.terminate();
  expect(existsSync(path)).toBe(true);
  await new Promise((resolve) => server.close(resolve));
});

test('a save that its process does not live to see leaves nothing behind, and what was there before', async () => {
  const saved = join(folder, 'saved.vmrs');
  writeFileSync(saved, 'as it was');
  const kernel = join(folder, 'vmlinux');
  writeFileSync(kernel, tinyKernel(), { mode: 0o644 });
  const owner = join(folder, 'owner.mts');
  const engineModule = new URL('../../../src/engines/qemu/engine.ts', import.meta.url);
  writeFileSync(
    owner,
    `import { QemuEngine } from '${engineModule.href}';
     const engine = new QemuEngine({ qemu: '${QEMU}', accounts: 'service' });
     const document = {
       VirtualMachine: { Chipset: { LinuxKernelDirect: { KernelFilePath: '${kernel}' } } },
     };
     const ids = { id: 'saved', runtimeId: '${randomUUID()}' };
     void engine
       .create({ ...ids, document, exited: () => {}, notify: () => {} })
       .then(async (machine) => {
         await machine.start([]);
         await machine.pause();
         await machine.save({ kind: 'file', path: '${saved}' }); // The stand-in never ends it.
       });`,
  );
  const names = () => readdirSync(folder).filter((name) => name.startsWith('.saved.vmrs.'));
  const running = spawn(process.execPath, ['--import', 'tsx', owner], { stdio: 'inherit' });
  await expect.poll(names, PATIENCE).toHaveLength(1);
  running.kill('SIGKILL');
  await expect.poll(names, PATIENCE).toEqual([]);
  expect(readFileSync(saved, 'utf8')).toBe('as it was');
  await expect.poll(left, PATIENCE).toEqual(['owner.mts', 'saved.vmrs']);
});
