import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { LinuxGuest } from '../../src/engines/qemu/linux-guest.ts';
import type {
  ComputeSystem,
  RestoreState,
  VirtualMachine,
} from '../../src/hcs/schema/documents.ts';
import { GOOD } from '../cli/devices.ts';
import { type CliResult, ended, until, Workplace } from '../cli/run-cli.ts';
import { collectExamples } from '../example-blocks.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const LEAVE = '\u001d';
const PROMPT = 'hdvkit> ';
const SHELL = 'guest:';

/** Prints the device id of the test device once the guest has it. */
const FIND_DEVICE = 'until cat /sys/bus/pci/devices/*/device | grep 0c11; do sleep 1; done';

/** Has the guest's shell heed the power button; evdev gives whole events of 24 bytes. */
const LISTEN =
  'for e in /dev/input/event*; do (dd if=$e of=/dev/null bs=24 count=1; poweroff -f) & done';

/** Our agent heeds it, too. */
const DEAF = 'killall hdvkit-agent';

/** A loaded machine takes its time. */
const PATIENCE = { timeout: 60_000, interval: 100 };

let kernel: string;
let initrd: string;
let document: ComputeSystem;

beforeAll(async () => {
  using guest = await LinuxGuest.prepare({
    memory: 256,
    shell: true,
    modules: ['virtio_pci', 'virtio_scsi', 'sd_mod'],
    kernelArguments: 'unknown_nmi_panic',
  });
  const { VirtualMachine } = guest.document;
  const { LinuxKernelDirect } = VirtualMachine?.Chipset ?? {};
  kernel = LinuxKernelDirect?.KernelFilePath as string;
  initrd = LinuxKernelDirect?.InitRdPath as string;
  document = {
    ...guest.document,
    VirtualMachine: { ...VirtualMachine, Devices: { VideoMonitor: {} } },
  };
});

/** Writes the document of a guest with a shell on its console. */
function writeMachine(place: Workplace, fields: VirtualMachine = {}): void {
  const machine = { ...document, VirtualMachine: { ...document.VirtualMachine, ...fields } };
  place.write('machine.json', `// A guest with a shell.\n${JSON.stringify(machine, null, 2)}\n`);
}

type JsonLine = Readonly<Record<string, unknown>>;

/** The lines of JSON that are there so far. */
function jsonLines(text: string): readonly JsonLine[] {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1).trim();
  return whole.split('\n').map((line) => JSON.parse(line) as JsonLine);
}

function consoleText(lines: readonly JsonLine[]): string {
  return lines.map((line) => (line.type === 'console' ? line.text : '')).join('');
}

/** Resolves when lines of JSON have said `text` on the console, in however many pieces. */
function consoleSays(stream: NodeJS.ReadableStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    const listen = (chunk: unknown): void => {
      said += String(chunk);
      if (!said.includes('\n') || !consoleText(jsonLines(said)).includes(text)) return;
      stream.off('data', listen).off('end', end);
      resolve();
    };
    const end = (): void => reject(new Error(`Cannot find ${text} in: ${said}`));
    stream.on('data', listen).once('end', end);
  });
}

/** Processes whose command line contains `text`. */
function processesWith(text: string): string[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' });
  return stdout.split('\n').filter((line) => line.includes(text) && !line.includes('ps -eo'));
}

/** A machine on a terminal, its guest booted, or gone on from a saved state. */
async function boot(place: Workplace, id: string, RestoreState?: RestoreState): Promise<Terminal> {
  writeMachine(place, RestoreState === undefined ? {} : { RestoreState });
  const args = ['vm', 'run', 'machine.json', '--host', 'linux', '--id', id];
  const child = place.startOnTerminal([...args, '--shutdown-timeout', '1']);
  const done = ended(child);
  const type = async (text: string, answer: string): Promise<string> => {
    const said = until(child.stdout, answer);
    child.stdin.write(text);
    return await said;
  };
  await until(child.stdout, RestoreState === undefined ? SHELL : 'opens the prompt');
  if (RestoreState !== undefined) await type('\r', SHELL);
  return { done, type };
}

/** Who of a command and the programs that it has started is in its process group, to which a terminal sends Ctrl-C. */
function groupWithin(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').map(Number);
  return [pid, ...children.filter((child) => child > 0 && groupOf(child) === groupOf(pid))];
}

/** The fields after a program's name, which may have blanks: state, parent, group (proc(5)). */
function groupOf(pid: number): string | undefined {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[2];
}

interface Terminal {
  readonly done: Promise<CliResult>;
  /** Types keys, and resolves with what is said until `answer`. */
  type(keys: string, answer: string): Promise<string>;
}

describe('hdvkit vm run --host linux', () => {
  test('has the console on the terminal, and a prompt behind Ctrl-]', async () => {
    using place = new Workplace();
    place.write('device.ts', GOOD);
    const { type, done } = await boot(place, `hdvkit-${process.pid}-prompt`);
    await type('echo it is $((40 + 2))\r', 'it is 42');
    await type(LEAVE, PROMPT);
    // Pasted lines are carried out one after the other.
    await type('pause\rdevices\r', 'No device is attached');
    await type('properties\r', '"State": "Paused"');
    await type('resume\r', PROMPT);
    await type('screenshot screen.png\r', 'Wrote ');
    const png = readFileSync(join(place.path, 'screen.png')).subarray(0, 4).toString('latin1');
    expect(png).toBe('\x89PNG');
    await type('attach device.ts\r', 'Attached Good as ');
    await type('\r', 'Back at the console');
    await type(`${FIND_DEVICE}\r`, '0x0c11');
    await type('poweroff -f\r', 'exited');
    const { code, stdout } = await done;
    expect(stdout).toContain('GracefulExit');
    expect(code).toBe(0);
    expect(place.leftovers).toEqual([]);
  });

  test('saves at the prompt what another run goes on from, shows the end of its crash report, and ends with 4', async () => {
    using place = new Workplace();
    place.write('device.ts', GOOD);
    const saved = join(place.path, 'saved');
    const first = await boot(place, `hdvkit-${process.pid}-saved`);
    await first.type('echo of the first > /tmp/kept\r', SHELL);
    await first.type(LEAVE, PROMPT);
    await first.type('attach device.ts\r', 'Attached Good as ');
    await first.type('save saved\r', 'it has the device ');
    expect(existsSync(saved)).toBe(false);
    await first.type('detach\r', 'Detached Good');
    await first.type('save saved\r', 'Saved to ');
    expect(statSync(saved).size).toBeGreaterThan(1_000_000);
    await first.type('terminate\r', 'exited');
    expect((await first.done).code).toBe(3);

    const restore = { SaveStateFilePath: saved };
    const { type, done } = await boot(place, `hdvkit-${process.pid}-crash`, restore);
    await type('cat /tmp/kept\r', 'of the first');
    await type(LEAVE, PROMPT);
    await type('attach device.ts\r', 'Attached Good as ');
    await type('\r', 'Back at the console');
    await type(`${FIND_DEVICE}\r`, '0x0c11');
    await type(LEAVE, PROMPT);
    await type('crash\r', 'exited');
    const { code, stdout } = await done;
    expect(stdout).toMatch(/crashed.*: the guest crashed/);
    expect(stdout).toMatch(/Kernel panic - not syncing: NMI/);
    expect(stdout).toMatch(/UnexpectedExit, HCS_E_GUEST_CRITICAL_ERROR 0x8037011C/);
    expect(code).toBe(4);
    expect(place.leftovers).toEqual([]);
  });

  test('pipes the console, and prints what happens as lines of JSON', async () => {
    using place = new Workplace();
    writeMachine(place);
    const child = place.start(['vm', 'run', 'machine.json', '--host', 'linux', '--json']);
    const done = ended(child);
    await consoleSays(child.stdout, SHELL);
    child.stdin.write('echo "it is $((40 + 2))"; poweroff -f\n');
    const { code, stdout } = await done;
    const lines = jsonLines(stdout);
    expect(consoleText(lines)).toContain('it is 42');
    expect(lines[0]).toMatchObject({ type: 'started' });
    expect(lines.at(-1)).toMatchObject({ type: 'exited', status: { ExitType: 'GracefulExit' } });
    expect(code).toBe(0);
  });

  /** A machine that can be shut down, whose guest has carried out a command of its shell; without a terminal. */
  async function bootWith(place: Workplace, id: string, limit: string, command: string) {
    writeMachine(place, { Services: { Shutdown: {} } });
    const all = ['vm', 'run', 'machine.json', '--host', 'linux', '--id', id];
    const child = place.start([...all, '--shutdown-timeout', limit]);
    const done = ended(child);
    await until(child.stdout, SHELL);
    const ready = until(child.stdout, 'it is ready');
    child.stdin.write(`${command}; echo it is rea''dy\n`);
    await ready;
    expect(processesWith('qemu').filter((line) => line.includes(id))).toHaveLength(1);
    return { child, done };
  }

  test('shuts the guest down on Ctrl-C, and leaves neither process nor file', async () => {
    using place = new Workplace();
    const id = `hdvkit-${process.pid}-asked`;
    const { child, done } = await bootWith(place, id, '100', LISTEN);
    for (const pid of groupWithin(child.pid!)) process.kill(pid, 'SIGINT');
    const { code, stderr } = await done;
    expect(stderr).toMatch(/Shutting the machine down[\s\S]*exited: GracefulExit/);
    expect(code).toBe(130);
    expect(processesWith(id)).toEqual([]);
    expect(place.leftovers).toEqual([]);
  });

  test('terminates a guest that does not listen in time', async () => {
    using place = new Workplace();
    const id = `hdvkit-${process.pid}-late`;
    const { child, done } = await bootWith(place, id, '1', DEAF);
    child.kill('SIGINT');
    const { code, stderr } = await done;
    expect(stderr).toMatch(/did not shut down within 1 s[\s\S]*exited: ForcedExit/);
    expect(code).toBe(130);
    expect(processesWith(id)).toEqual([]);
    expect(place.leftovers).toEqual([]);
  });

  test('ends at once on a second Ctrl-C, and leaves neither process nor file', async () => {
    using place = new Workplace();
    const id = `hdvkit-${process.pid}-twice`;
    const { child, done } = await bootWith(place, id, '100', DEAF);
    const asked = until(child.stderr, 'Shutting the machine down');
    child.kill('SIGINT');
    await asked;
    child.kill('SIGINT');
    const { code, stderr } = await done;
    // Nobody waited for the end.
    expect(stderr).not.toMatch(/did not shut down|exited/);
    expect(code).toBe(130);
    // A small process takes them away when this one is gone.
    await expect.poll(() => processesWith(id), PATIENCE).toEqual([]);
    await expect.poll(() => place.leftovers, PATIENCE).toEqual([]);
  });

  test('leaves nothing when a device refuses to come up', async () => {
    using place = new Workplace();
    writeMachine(place);
    const args = ['vm', 'run', 'machine.json', '--host', 'linux', '--device', 'device.ts#Nothing'];
    place.write('device.ts', GOOD);
    const { code, stderr } = await place.run(args);
    expect(stderr).toMatch(/Cannot find the export Nothing/);
    expect(code).toBe(2);
    expect(place.leftovers).toEqual([]);
  });
});

test('the round of docs/machines.md comes to its end', async () => {
  using place = new Workplace();
  const example = collectExamples(root).find(({ fileName }) => fileName === 'machine-round.ts');
  writeFileSync(join(place.path, 'machine-round.ts'), example?.code ?? '');
  copyFileSync(join(root, 'sample-devices/edu.ts'), join(place.path, 'edu.ts'));
  const image = place.write('disk.img', '');
  truncateSync(image, 8 * 1024 * 1024);
  // It grants them, for good.
  const [ownKernel, ownInitrd] = [join(place.path, 'vmlinux'), join(place.path, 'initrd.img')];
  copyFileSync(kernel, ownKernel);
  copyFileSync(initrd, ownInitrd);
  const args = ['machine-round.ts', ownKernel, ownInitrd, image, SHELL];
  const { code, stdout, stderr } = await place.node(args);
  expect(stderr).toBe('');
  expect(stdout.trim().split('\n')).toEqual([
    'the guest has the disk of its document',
    'the guest reads the disk that was added',
    'Paused',
    'the guest goes on',
    'the guest has found EduDevice',
    expect.stringMatching(/it has the device EduDevice/),
    expect.stringMatching(/^Kernel panic - not syncing: NMI/),
    'UnexpectedExit',
  ]);
  expect(code).toBe(0);
  expect(place.leftovers).toEqual([]);
});
