import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { LinuxGuest } from '../../src/engines/qemu/linux-guest.ts';
import { GOOD } from '../cli/devices.ts';
import { type CliOptions, type CliResult, ended, until, Workplace } from '../cli/run-cli.ts';

const LEAVE = '\u001d';

/** Prints the device id of the test device once the guest has it, or has it no more. */
const find = (isThere: boolean): string =>
  `${isThere ? 'until' : 'while'} grep -q 0c11 /sys/bus/pci/devices/*/device; do sleep 1; done; echo it is $((40 + 2))\r`;

test('a guest of the daemon gets a device of another process, which takes it out again on Ctrl-C', async () => {
  using guest = await LinuxGuest.prepare({ memory: 256, shell: true, modules: ['virtio_pci'] });
  const { ShouldTerminateOnLastHandleClosed: _, ...document } = guest.document;
  using place = new Workplace();
  place.write('web.json', JSON.stringify({ ...document }));
  place.write('device.ts', GOOD);
  const env = {
    HDVKIT_SOCKET: join(place.path, 's', 'hcsd.sock'),
    HDVKIT_STATE: join(place.path, 'state'),
    HDVKIT_HOST: 'linux',
  };
  const options: CliOptions = { program: 'hcs', env };
  const hcs = (...args: string[]): Promise<CliResult> => place.run(args, options);
  const created = await hcs('create', 'web.json', '--start');
  expect(created).toMatchObject({ code: 0, stdout: 'Created and started web\n' });
  const daemon = async (): Promise<number> =>
    JSON.parse((await hcs('service', '--json')).stdout).daemon.pid;
  let pid = await daemon();
  try {
    const console = place.startOnTerminal(['console', 'web'], options);
    const left = ended(console);
    const type = async (keys: string, answer: string): Promise<void> => {
      const said = until(console.stdout, answer);
      console.stdin.write(keys);
      await said;
    };
    await until(console.stdout, 'Ctrl-] leaves it');
    await type('\r', 'guest:');
    const attach = place.startOnTerminal(['attach', 'web', 'device.ts'], options);
    const detached = ended(attach);
    await until(attach.stdout, 'Ctrl-C takes it out again');
    await type(find(true), 'it is 42');
    attach.stdin.write('\u0003');
    const { code, stdout } = await detached;
    expect(stdout).toContain('hcs: took Good out of web');
    expect(stdout).toContain('hcs: interrupted; taking Good out of web, which goes on');
    expect(code).toBe(130);
    await type(find(false), 'it is 42');
    await type(LEAVE, 'hcs: left web, which goes on');
    expect((await left).code).toBe(0);
    expect((await hcs('list', '--quiet')).stdout).toBe('web\n');

    // The daemon that it was given to is not the one that takes it out.
    const again = place.startOnTerminal(['attach', 'web', 'device.ts'], options);
    const takenOut = ended(again);
    await until(again.stdout, 'Ctrl-C takes it out again');
    const alone = until(again.stdout, 'Good goes on, and is announced to the next one');
    process.kill(pid, 'SIGKILL');
    await alone;
    const announced = until(again.stdout, 'is announced to the compute service again, for web');
    pid = await daemon();
    await announced;
    again.stdin.write('\u0003');
    expect(await takenOut).toMatchObject({
      code: 130,
      stdout: expect.stringContaining('hcs: took Good out of web'),
    });
    expect((await hcs('kill', 'web')).code).toBe(0);
  } finally {
    process.kill(pid, 'SIGTERM');
    while (isAlive(pid)) await delay(50);
  }
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
