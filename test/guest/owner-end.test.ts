import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identifyProcess, isAlive } from '../../src/provision/process-identity.ts';

const url = (path: string): string => new URL(`../../${path}`, import.meta.url).href;

/** A program that runs a machine with a device on a worker and one inline, and says which processes it has. */
const OWNER = `
  import { readFileSync, readdirSync } from 'node:fs';
  import { ComputeSystem, DeviceHost, useHost } from '${url('src/index.ts')}';
  import { LinuxGuest } from '${url('src/engines/qemu/linux-guest.ts')}';
  import { EduDevice } from '${url('sample-devices/edu.ts')}';
  const host = useHost('linux');
  const guest = await LinuxGuest.prepare({ memory: 256, uefi: true });
  const { VirtualMachine, ...document } = guest.document;
  await host.computeCore.HcsGrantVmAccess('hdvkit-owned', process.argv[2]);
  const system = await ComputeSystem.create('hdvkit-owned', {
    ...document,
    VirtualMachine: {
      ...VirtualMachine,
      SecuritySettings: { EnableTpm: true },
      Devices: {
        ...VirtualMachine.Devices,
        HvSocket: {},
        VirtualSmb: { Shares: [{ Name: 'share', Path: process.argv[2] }] },
      },
    },
  });
  const devices = await DeviceHost.create(system);
  await devices.attach(new URL('${url('sample-devices/edu.ts')}'), { export: 'EduDevice' });
  await devices.attach(new EduDevice());
  await system.start();
  const children = readdirSync('/proc/self/task').flatMap((tid) =>
    readFileSync('/proc/self/task/' + tid + '/children', 'utf8').trim().split(' '));
  console.log(JSON.stringify(children.filter((pid) => pid !== '')));`;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvo-'));
  // The program for sockets runs as the machine's account, where there are accounts.
  chmodSync(folder, 0o711);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a killed owner of a machine with devices, a share and a TPM leaves no process, socket or file', async () => {
  const temporary = join(folder, 't');
  mkdirSync(temporary);
  const program = join(folder, 'owner.mts');
  writeFileSync(program, OWNER);
  const args = ['--import', 'tsx', '--conditions=hdvkit-source', program, folder];
  const owner = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: temporary, XDG_RUNTIME_DIR: temporary },
  });
  const lines = createInterface({ input: owner.stdout });
  const [text] = (await Promise.race([
    once(lines, 'line'),
    once(owner, 'exit').then(([code]) => Promise.reject(new Error(`The owner ended with ${code}`))),
  ])) as [string];
  const children = (JSON.parse(text) as string[]).flatMap(
    (pid) => identifyProcess(Number(pid)) ?? [],
  );
  // Others may have the same number later.
  const alive = (): number[] => children.filter(isAlive).map(({ pid }) => pid);
  const left = (): string[] => readdirSync(temporary).filter((name) => name.startsWith('hdv'));
  const programs = alive().map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  for (const name of ['qemu-system', 'virtiofsd', 'swtpm', 'vhost-device-vsock']) {
    expect(programs.some((line) => line.includes(name))).toBe(true);
  }
  expect(left().length).toBeGreaterThan(0);
  owner.kill('SIGKILL');
  await expect.poll(() => [...alive(), ...left()], { timeout: 60_000 }).toEqual([]);
});
