import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runtimeIdOf } from '../../src/compute/system-id.ts';
import { vmAccounts } from '../../src/engines/qemu/vm-account.ts';
import { permissionOf } from '../../src/ffi/posix-acl.ts';
import { GOOD } from '../cli/devices.ts';
import { type CliOptions, type CliResult, ended, until, Workplace } from '../cli/run-cli.ts';
import { tinyKernel } from './tiny-kernel.ts';

const IS_ROOT = process.getuid?.() === 0;

let place: Workplace;
let options: CliOptions;
let kernel: string;

beforeEach(() => {
  place = new Workplace();
  chmodSync(place.path, 0o711);
  chmodSync(place.temporary, 0o711);
  kernel = join(place.path, 'kernel');
  writeFileSync(kernel, tinyKernel(), { mode: 0o600 });
  const VirtualMachine = {
    Chipset: { LinuxKernelDirect: { KernelFilePath: kernel } },
    ComputeTopology: { Memory: { SizeInMB: 64 } },
  };
  place.write('web.json', JSON.stringify({ VirtualMachine }));
  place.write('device.ts', GOOD);
  const env = {
    HDVKIT_SOCKET: join(place.path, 's', 'hcsd.sock'),
    HDVKIT_STATE: join(place.path, 'state'),
    HDVKIT_HOST: 'linux',
    XDG_RUNTIME_DIR: place.temporary,
    NO_COLOR: '1',
  };
  options = { program: 'hcs', env };
});

afterEach(async () => {
  for (const id of (await hcs('list', '--quiet')).stdout.split('\n').filter(Boolean)) {
    await hcs('kill', id);
  }
  await hcs('service', 'stop');
  place[Symbol.dispose]();
});

function hcs(...args: string[]): Promise<CliResult> {
  return place.run(args, options);
}

async function daemon(): Promise<number> {
  return JSON.parse((await hcs('service', '--json')).stdout).daemon.pid;
}

/** Whether the machine of a system may open the kernel, where it needs to be let in. */
function isGranted(id: string): boolean {
  const [{ uid }] = vmAccounts(runtimeIdOf(id));
  return permissionOf(kernel, 'access', { kind: 'user', id: uid }) !== undefined;
}

test('a machine goes on when its daemon is killed or stopped, and what it was granted goes with it', async () => {
  const consoles = join(place.temporary, `hdvkit-consoles-${process.getuid?.()}`);
  // One of a service in the command leaves nothing.
  expect((await hcs('create', 'web.json', '--start', '--embedded')).code).toBe(0);
  expect([isGranted('web'), existsSync(consoles)]).toEqual([false, false]);

  expect((await hcs('create', 'web.json', '--start')).code).toBe(0);
  expect(isGranted('web')).toBe(IS_ROOT);
  const first = await daemon();
  const wait = place.start(['wait', 'web'], options);
  const attach = place.startOnTerminal(['attach', 'web', 'device.ts'], options);
  const console = place.startOnTerminal(['console', 'web'], options);
  const done = Promise.all([wait, console].map(ended));
  const attachEnd = ended(attach);
  await Promise.all([
    until(wait.stderr, 'Waiting for the end of web'),
    until(attach.stdout, 'Ctrl-C takes it out again'),
    until(console.stdout, 'Ctrl-] leaves it'),
  ]);
  const served = until(attach.stdout, 'Good goes on, and is announced to the next one');
  process.kill(first, 'SIGKILL');
  await served;
  for (const { code, stdout, stderr } of await done) {
    expect(`${stdout}${stderr}`).toMatch(
      /web: the connection to its service is lost.*\s+remedy: hcs list shows the systems/,
    );
    expect(code).toBe(1);
  }
  // The next one has it, its device, and its grant still.
  const announced = until(attach.stdout, 'Good is announced to the compute service again, for web');
  expect((await hcs('list', '--json')).stdout).toMatch(/"State": ?"Running"/);
  await announced;
  expect(isGranted('web')).toBe(IS_ROOT);
  const servedStill = until(attach.stdout, 'Good goes on, and is announced to the next one');
  const stopped = await hcs('service', 'stop');
  expect(stopped.stdout).toMatch(
    /^Stopped hcsd \S+, process \d+; 1 system goes on, for the next one\n$/,
  );
  await servedStill;
  expect((await hcs('service', 'status')).code).toBe(1);
  // A byte over its console, and the guest powers off.
  expect(readdirSync(consoles)).toHaveLength(1);
  const waiting = place.start(['wait', 'web', '--json'], options);
  const exit = ended(waiting);
  await until(waiting.stderr, 'Waiting for the end of web');
  const typed = await place.run(['console', 'web'], { ...options, input: 'x' });
  expect(typed).toMatchObject({ code: 0, stderr: expect.stringContaining('hcs: web has ended') });
  expect(JSON.parse((await exit).stdout)).toMatchObject({ ExitType: 'GracefulExit' });
  const { code, stdout } = await attachEnd;
  expect(stdout).toContain('hcs: web has ended');
  expect(code).toBe(0);
  await expect.poll(() => isGranted('web')).toBe(false);
  expect((await hcs('list')).code).toBe(0);
  expect(existsSync(consoles)).toBe(false);
});
