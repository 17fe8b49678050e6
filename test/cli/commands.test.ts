import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { VfioUserClient } from '../../src/vfio-user/client.ts';
import { CHANGED, ENDLESS, GOOD, OTHER_SHAPE } from './devices.ts';
import { ended, until, Workplace } from './run-cli.ts';

describe.concurrent('hdvkit show', () => {
  test('prints config space, BARs and registers', async () => {
    using place = new Workplace();
    place.write('device.ts', GOOD);
    const { code, stdout, stderr } = await place.run(['show', 'device.ts']);
    expect(stderr).toBe('');
    expect(stdout).toContain('vendor 0x1234  device 0x0c11');
    expect(stdout).toMatch(/\[0x40\] MSI \(id 0x05\)/);
    expect(stdout).toMatch(/BAR 0: 4 KiB, 32-bit/);
    expect(stdout).toMatch(/0x0000 +VALUE +32 +rw +0x00000000 +LOW 3:0/);
    expect(stdout).not.toContain('\u001b[');
    expect(code).toBe(0);
  });

  test('prints of the README’s first device what the README says', async () => {
    using place = new Workplace();
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const blocks = [...readme.matchAll(/^```\w+\n([\s\S]*?)^```$/gm)].map(
      (match) => match[1] ?? '',
    );
    const block = (mark: string): string => blocks.find((text) => text.includes(mark)) ?? '';
    place.write('first-device.ts', block('extends PciDevice'));
    const { stdout } = await place.run(['show', 'first-device.ts']);
    expect(stdout).toBe(block('config space, 256 bytes'));
  });

  test('prints the same as data', async () => {
    using place = new Workplace();
    place.write('device.ts', GOOD);
    const { stdout } = await place.run(['show', 'device.ts', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      name: 'Good',
      configSpace: { vendorId: 0x1234, capabilities: [{ name: 'MSI' }] },
      bars: [
        {
          slot: 0,
          parts: [{ kind: 'registers', registers: [{ name: 'VALUE' }, { name: 'OTHER' }] }],
        },
      ],
    });
  });
});

describe.concurrent('hdvkit new', () => {
  test('writes a device whose test passes at once, and overwrites nothing', async () => {
    using place = new Workplace();
    const made = await place.run(['new', 'tone-generator']);
    expect(made.code, made.stderr).toBe(0);
    expect(made.stdout).not.toContain('npm install');
    const folder = join(place.path, 'tone-generator');
    expect(readdirSync(folder).sort()).toEqual([
      'README.md',
      'package.json',
      'tone-generator.test.ts',
      'tone-generator.ts',
      'tsconfig.json',
    ]);
    const tested = await place.npmTest(folder);
    expect(tested.stdout).toMatch(/# pass 3/);
    expect(tested.code, tested.stdout).toBe(0);

    const before = readFileSync(join(folder, 'tone-generator.ts'), 'utf8');
    const again = await place.run(['new', 'tone-generator']);
    expect(again.stderr).toMatch(/Cannot write .*: it exists, and nothing is overwritten/);
    expect(again.code).toBe(2);
    expect(readFileSync(join(folder, 'tone-generator.ts'), 'utf8')).toBe(before);
  });

  test('refuses a name that makes no file name', async () => {
    using place = new Workplace();
    const { code, stderr } = await place.run(['new', '../evil']);
    expect(stderr).toContain('Cannot name a device "../evil"');
    expect(code).toBe(2);
  });
});

describe.concurrent('hdvkit run --host simulated', () => {
  test('runs one command, and shows the accesses by name and what is not modelled', async () => {
    using place = new Workplace();
    place.write('device.ts', GOOD);
    const args = ['run', 'device.ts', '--host', 'simulated', '--trace', '--command'];
    const { code, stdout, stderr } = await place.run([...args, 'read VALUE']);
    expect(stdout).toBe('0x00000000  LOW=0\n');
    expect(stderr).toMatch(/read {3}VALUE 0x00000000 LOW=0\n/);
    expect(stderr).toContain('Every offset that the driver touched is modelled.');
    expect(code).toBe(0);
    const hole = await place.run([...args, 'write 0+0x100 5']);
    expect(hole.stderr).toContain('  BAR0+0x100  4 bytes  0 reads, 1 writes, last written 0x5');
    expect(place.leftovers).toEqual([]);
  });

  test('fails when its command does', async () => {
    using place = new Workplace();
    place.write('device.ts', GOOD);
    const { code, stderr } = await place.run([
      'run',
      'device.ts',
      '--host',
      'simulated',
      '--command',
      'read X',
    ]);
    expect(stderr).toContain('Cannot find X');
    expect(code).toBe(1);
  });

  test('takes commands from standard input until it ends', async () => {
    using place = new Workplace();
    place.write('device.ts', GOOD);
    const { code, stdout } = await place.run(['run', 'device.ts', '--host', 'simulated'], {
      input: 'write VALUE 0x2a\nread VALUE\nnonsense\nread OTHER\n',
    });
    expect(stdout).toBe('0x0000002a  LOW=0xa\n0x00000000\n');
    expect(code).toBe(0);
  });

  test('puts the changed device in the place of the old one when the file is saved', async () => {
    using place = new Workplace();
    place.write('device.ts', GOOD);
    const child = place.start(['run', 'device.ts', '--host', 'simulated', '--watch']);
    const done = ended(child);
    child.stdin.write('read VALUE\n');
    await until(child.stdout, '0x00000000');
    child.stdin.write('write OTHER 0x77\nread OTHER\n');
    await until(child.stdout, '0x00000077');
    const replaced = until(child.stderr, 'took the place of the old one, and has its registers');
    place.write('device.ts', CHANGED);
    await replaced;
    const refused = until(child.stderr, 'The old device goes on');
    place.write('device.ts', OTHER_SHAPE);
    await refused;
    child.stdin.end('read VALUE\nread OTHER\n');
    const { code, stdout, stderr } = await done;
    expect(stdout).toMatch(/0x0000002a.*\n0x00000077\n$/);
    expect(stderr).toContain('its BAR 0 is 0x2000 bytes');
    expect(code).toBe(0);
  });

  test('ends with 130 on Ctrl-C and leaves nothing behind', async () => {
    using place = new Workplace();
    place.write('device.ts', GOOD);
    const child = place.start(['run', 'device.ts', '--host', 'simulated']);
    const done = ended(child);
    child.stdin.write('read VALUE\n');
    await until(child.stdout, '0x00000000');
    child.kill('SIGINT');
    expect((await done).code).toBe(130);
    expect(place.leftovers).toEqual([]);
  });
});

describe.concurrent('hdvkit run --host simulated with a device that never returns', () => {
  test('is ended by Ctrl-C', async () => {
    using place = new Workplace();
    place.write('device.ts', ENDLESS);
    const child = place.start(['run', 'device.ts', '--host', 'simulated']);
    child.stdin.end('write VALUE 1\n');
    await until(child.stderr, 'no return');
    child.kill('SIGINT');
    const { code } = await ended(child);
    expect([code, child.signalCode]).toEqual([null, 'SIGINT']);
    expect(place.leftovers).toEqual([]);
  });
});

describe.concurrent('a device file in a folder of CommonJS, as npm init makes them', () => {
  test('is loaded with its named exports, on this thread and on a worker', async () => {
    using place = new Workplace();
    place.write('package.json', '{"type":"commonjs"}');
    place.write('answer.ts', 'export const ANSWER = 42;\n');
    const path = place.write(
      'device.ts',
      `import { ANSWER } from './answer.ts';${GOOD}console.error(ANSWER);\n`,
    );
    const shown = await place.run(['show', path]);
    expect(shown.stderr).toBe('42\n');
    expect(shown.stdout).toContain('vendor 0x1234  device 0x0c11');
    expect(shown.code).toBe(0);
    const child = place.start(['serve', path, '--socket', join(place.path, 's')]);
    const done = ended(child);
    await until(child.stdout, 'vfio-user-pci');
    child.kill('SIGTERM');
    expect((await done).stderr.match(/^42$/gm)).toHaveLength(2);
  });
});

describe.concurrent('hdvkit serve', () => {
  test('prints the QEMU arguments, serves a client, and takes its socket away on Ctrl-C', async () => {
    using place = new Workplace();
    place.write('device.ts', CHANGED);
    const path = join(place.path, 's');
    const child = place.start(['serve', 'device.ts', '--socket', path]);
    const done = ended(child);
    const said = await until(child.stdout, '\n');
    expect(said).toBe(
      `-machine q35,memory-backend=ram0 -object memory-backend-memfd,id=ram0,size=512M,share=on -m 512 -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"${path}"}}'\n`,
    );
    const client = VfioUserClient.connect(path);
    client.negotiate();
    // Memory decoding on: command register, in the config space's region.
    client.write(7, 0x04, 2, 0x2);
    expect(client.read(0, 0, 4)).toBe(0x2a);
    client.close();
    child.kill('SIGINT');
    expect((await done).code).toBe(130);
    expect(existsSync(path)).toBe(false);
    expect(place.leftovers).toEqual([]);
  });
});

describe.concurrent('hdvkit serve --inspect', () => {
  test('opens the inspector, and tells QEMU to wait as long as a breakpoint takes', async () => {
    using place = new Workplace();
    place.write('device.ts', GOOD);
    const path = join(place.path, 's');
    const child = place.start(['serve', 'device.ts', '--socket', path, '--inspect', '0']);
    const done = ended(child);
    expect(await until(child.stdout, '\n')).toContain('"x-msg-timeout":2147483647');
    child.kill('SIGTERM');
    const { code, stderr } = await done;
    expect(stderr).toMatch(/Inspector at ws:\/\/127\.0\.0\.1:\d+/);
    expect(code).toBe(143);
    expect(existsSync(path)).toBe(false);
  });
});

describe.concurrent('hdvkit demo', () => {
  test('drives the device, names every call, and ends with a histogram', async () => {
    using place = new Workplace();
    const { code, stdout, stderr } = await place.run(['demo', '--accesses', '1000']);
    expect(stderr).toBe('');
    for (const text of [
      /HcsCreateComputeSystem\("hdvkit-demo-\d+"/,
      /HdvInitializeDeviceHostEx\(/,
      /HdvCreateDeviceInstance\(/,
      /HcsModifyComputeSystem\(.*FlexibleIov/,
      /HcsStartComputeSystem\(/,
      /config write BAR0 0xffffffff/,
      /LIVENESS gives every bit back inverted: 0xedcba987/,
      /write {2}FACTORIAL 0x0000000a/,
      /10! is 3628800/,
      /HdvReadGuestMemory\(/,
      /HdvDeliverGuestInterrupt\(/,
      /"The guest wrote this, and the device carried it\."/,
      /Latency of 1000 MMIO reads of ID/,
      /p50 \S+ \S+ {3}p99 .* p99\.9 /,
      /accesses\/s/,
      /HcsTerminateComputeSystem\(/,
    ]) {
      expect(stdout).toMatch(text);
    }
    expect(code).toBe(0);
    expect(place.leftovers).toEqual([]);
  });
});

describe.concurrent('an output that nobody reads any more', () => {
  test.each([['show', 'device.ts'], ['demo'], ['run', 'device.ts', '--host', 'simulated']])(
    'ends hdvkit %s as SIGPIPE would, without a word, and leaves nothing behind',
    async (...args) => {
      using place = new Workplace();
      place.write('device.ts', GOOD);
      const child = place.start(args);
      child.stdout.destroy();
      child.stdin.end('registers\n'.repeat(10));
      const { code, stderr } = await ended(child);
      expect(stderr).toBe('');
      expect(code).toBe(141);
      expect(place.leftovers).toEqual([]);
    },
  );
});

describe.concurrent('hdvkit doctor', () => {
  test('names what there is and what is missing, with a remedy for each', async () => {
    using place = new Workplace();
    const env = { HDVKIT_CACHE: join(place.path, 'cache'), HDVKIT_QEMU: '/nonexistent/qemu' };
    const { code, stdout } = await place.run(['doctor', '--json'], { env });
    const { checks, hosts } = JSON.parse(stdout);
    const missing = checks.filter(({ state }: { state: string }) => state === 'missing');
    expect(missing.map(({ name }: { name: string }) => name)).toEqual(['qemu', 'guest']);
    for (const check of missing) expect(check.remedy).toMatch(/hdvkit provision/);
    expect(hosts).toEqual({ simulated: true, linux: false, windows: false });
    expect(code).toBe(0);
    const text = await place.run(['doctor'], { env });
    expect(text.stdout).toMatch(/missing {2}QEMU/);
    expect(text.stdout).toMatch(/remedy: run "hdvkit provision"/);
    expect(existsSync(env.HDVKIT_CACHE)).toBe(false);
  });
});

test('every command has a help text with an example', async () => {
  using place = new Workplace();
  const { stdout } = await place.run(['--help']);
  const names = [...stdout.matchAll(/^ {2}(\w+) .*<?\w*>?/gm)].map((match) => match[1] as string);
  const commands = names.filter((name) => name !== 'help');
  expect(commands).toEqual([
    'demo',
    'run',
    'serve',
    'vm',
    'validate',
    'schema',
    'error',
    'new',
    'show',
    'doctor',
    'bench',
    'provision',
  ]);
  const texts = await Promise.all(commands.map((name) => place.run([name, '--help'])));
  for (const { code, stdout } of texts) {
    expect(stdout).toMatch(/Examples?:\n {2}\$ hdvkit /);
    expect(code).toBe(0);
  }
});
