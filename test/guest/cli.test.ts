import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CHANGED, GOOD, THROWS } from '../cli/devices.ts';
import { ended, until, Workplace } from '../cli/run-cli.ts';

/** Shell of the guest: prints the dword at the start of BAR 0 of the test device. */
const READ_VALUE = `value() {
  for d in /sys/bus/pci/devices/*; do
    [ "$(cat $d/device)" = 0x0c11 ] || continue
    echo 1 > $d/enable
    read start rest < $d/resource
    devmem $start 32
  done
}`;

/** Processes whose command line contains `text`. */
function processesWith(text: string): string[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' });
  return stdout.split('\n').filter((line) => line.includes(text) && !line.includes('ps -eo'));
}

describe('hdvkit run --host linux', () => {
  test('runs a command in the guest, passes its output and exit code on, and shows accesses by name', async () => {
    using place = new Workplace();
    place.write('device.ts', CHANGED);
    writeFileSync(join(place.path, 'note'), 'from the host');
    const command = `${READ_VALUE}; value; cat /mnt/share/note; echo done >&2; exit 7`;
    const args = [
      'run',
      'device.ts',
      '--host',
      'linux',
      '--trace',
      '--share',
      '.',
      '--memory',
      '256',
    ];
    const { code, stdout, stderr } = await place.run([...args, '--command', command]);
    expect(stdout).toBe('0x0000002A\nfrom the host');
    expect(stderr).toMatch(/^done$/m);
    expect(stderr).toMatch(/read {3}VALUE 0x0000002a LOW=0xa$/m);
    expect(stderr).toMatch(/config write COMMAND 0x[0-9a-f]+ memorySpace/m);
    expect(stderr).toContain('Every offset that the driver touched is modelled.');
    expect(code).toBe(7);
    expect(place.leftovers).toEqual([]);
  });

  test('fails when the device did, though the command in the guest did not', async () => {
    using place = new Workplace();
    const failing = "read: () => { throw new Error('no luck today'); }";
    place.write('device.ts', GOOD.replace('bind({})', `bind({ VALUE: { ${failing} } })`));
    const args = ['run', 'device.ts', '--host', 'linux', '--memory', '256', '--command'];
    const { code, stdout, stderr } = await place.run([...args, `${READ_VALUE}; value; exit 0`]);
    expect(stdout).toBe('0xFFFFFFFF\n');
    expect(stderr).toMatch(/device failed: .*no luck today/);
    expect(code).toBe(1);
    expect(place.leftovers).toEqual([]);
  });

  test('puts the changed device in the place of the old one when the file is saved, MSI-X included', async () => {
    using place = new Workplace();
    const withMsix = (text: string): string => text.replaceAll('msi', 'msix');
    place.write('device.ts', withMsix(GOOD));
    const command = `${READ_VALUE}; while :; do v=$(value); echo "saw $v"; [ "$v" = 0x0000002A ] && exit 5; sleep 0.2; done`;
    const child = place.start([
      'run',
      'device.ts',
      '--host',
      'linux',
      '--watch',
      '--command',
      command,
    ]);
    const done = ended(child);
    await until(child.stdout, 'saw 0x00000000');
    const refused = until(child.stderr, 'The old device goes on');
    place.write('device.ts', withMsix(THROWS));
    await refused;
    const replaced = until(child.stderr, 'took the place of the old one, and has its registers');
    place.write('device.ts', withMsix(CHANGED));
    await replaced;
    const { code, stdout, stderr } = await done;
    expect(stderr).toContain('no luck today');
    expect(stdout).toContain('saw 0x0000002A');
    expect(code).toBe(5);
  });

  test('gives the guest’s shell to a script, until its input ends', async () => {
    using place = new Workplace();
    place.write('device.ts', GOOD);
    const { code, stdout } = await place.run(['run', 'device.ts', '--host', 'linux'], {
      input: 'echo "it is $((40 + 2))"\n',
    });
    expect(stdout).toContain('it is 42');
    expect(code).toBe(0);
    expect(place.leftovers).toEqual([]);
  });

  test('gives the guest’s shell to a terminal, which Ctrl-] leaves', async () => {
    using place = new Workplace();
    place.write('device.ts', GOOD);
    const child = place.startOnTerminal(['run', 'device.ts', '--host', 'linux']);
    const done = ended(child);
    await until(child.stdout, 'guest:');
    child.stdin.write('stty size\r');
    await until(child.stdout, '#');
    child.stdin.write('\u001d');
    expect((await done).code).toBe(0);
    expect(place.leftovers).toEqual([]);
  });

  test('ends with 130 on Ctrl-C, and neither QEMU nor a file is left', async () => {
    using place = new Workplace();
    place.write('device.ts', GOOD);
    const child = place.start([
      'run',
      'device.ts',
      '--host',
      'linux',
      '--command',
      'echo up; sleep 600',
    ]);
    const done = ended(child);
    await until(child.stdout, 'up');
    expect(processesWith(`hdvkit-run-${child.pid}`)).toHaveLength(1);
    child.kill('SIGINT');
    expect((await done).code).toBe(130);
    expect(processesWith(`hdvkit-run-${child.pid}`)).toEqual([]);
    expect(place.leftovers).toEqual([]);
  });
});

test('hdvkit demo --host linux drives the device in a real guest', async () => {
  using place = new Workplace();
  const { code, stdout, stderr } = await place.run([
    'demo',
    '--host',
    'linux',
    '--accesses',
    '500',
  ]);
  expect(stderr).toBe('');
  for (const text of [
    /HcsCreateComputeSystem\("hdvkit-demo-\d+"/,
    /HcsModifyComputeSystem\(.*FlexibleIov/,
    /firmware and kernel made \d+ accesses/,
    /read {3}LIVENESS 0xedcba987/,
    /10! is 3628800/,
    /dma {4}49 bytes to 0x/,
    /irq {4}vector 1 sent/,
    /Latency of 500 MMIO reads of ID, timed in the guest/,
    /p50 \S+ \S+ {3}p99 .* p99\.9 /,
  ]) {
    expect(stdout).toMatch(text);
  }
  expect(code).toBe(0);
  expect(place.leftovers).toEqual([]);
});
