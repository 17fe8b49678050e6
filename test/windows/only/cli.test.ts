import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ENDLESS, GOOD, NO_DEVICE } from '../../cli/devices.ts';

/** The package, built as npm installs it; this file lies in dist/test/windows/only. */
const packageFolder = fileURLToPath(new URL('../../../../', import.meta.url));

/** The same device without types: TypeScript takes longer to load than all the rest. */
const PLAIN = GOOD.replaceAll(/\b(?:override|readonly) /g, '');

let folder: string;

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command as npm's shims do. */
function start(args: readonly string[]): ChildProcessWithoutNullStreams {
  const { HDVKIT_HOST: _host, ...env } = process.env;
  const main = join(packageFolder, 'node_modules', 'hdvkit', 'dist', 'src', 'cli', 'main.js');
  return spawn(process.execPath, [main, ...args], { cwd: folder, env });
}

/** Runs it to its end. */
async function hdvkit(args: readonly string[]): Promise<Result> {
  const child = start(args);
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
    });
  }
  child.stdin.end();
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, ...said };
}

beforeAll(() => {
  // Below the package, so that device files find it by its name.
  folder = mkdtempSync(join(packageFolder, 'my devices '));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(join(folder, 'device.ts'), GOOD);
  writeFileSync(join(folder, 'plain.js'), PLAIN);
  writeFileSync(join(folder, 'none.ts'), NO_DEVICE);
  writeFileSync(join(folder, 'endless.ts'), ENDLESS);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('hdvkit on Windows', () => {
  test.each<[string, () => string]>([
    ['with a drive letter and a space', () => join(folder, 'device.ts')],
    ['with slashes', () => join(folder, 'plain.js').replaceAll('\\', '/')],
    ['of the current folder', () => '.\\plain.js'],
    ['up and down again', () => `..\\${relative(packageFolder, folder)}\\plain.js`],
    ['as a URL', () => pathToFileURL(join(folder, 'device.ts')).href],
    ['of any case', () => join(folder.toUpperCase(), 'Device.ts')],
  ])('shows a device of a path %s', async (_what, path) => {
    const { code, stdout, stderr } = await hdvkit(['show', path()]);
    expect(stderr).toBe('');
    expect(stdout).toContain('vendor 0x1234  device 0x0c11');
    expect(stdout).not.toContain('\u001b[');
    expect(code).toBe(0);
  });

  test('names files as Windows does', async () => {
    const { code, stderr } = await hdvkit(['show', 'none.ts']);
    expect(stderr).toContain(`Cannot find a device in ${join(folder, 'none.ts')}: it exports no`);
    expect(code).toBe(2);
  });

  test('runs a command in the simulated machine, with a trace', async () => {
    const args = [
      'run',
      'device.ts',
      '--host',
      'simulated',
      '--trace',
      '--command',
      'write VALUE 5',
    ];
    const { code, stderr } = await hdvkit(args);
    expect(stderr).toMatch(/write {2}VALUE 0x00000005/);
    expect(code).toBe(0);
  });

  test('writes a device whose folder has a space in its name', async () => {
    mkdirSync(join(folder, 'new ones'));
    const { code, stdout } = await hdvkit(['new', 'tone-generator', '--in', 'new ones']);
    expect(stdout).toContain('cd "new ones\\tone-generator"');
    expect(code).toBe(0);
    const manifest = join(folder, 'new ones', 'tone-generator', 'package.json');
    expect(JSON.parse(readFileSync(manifest, 'utf8')).name).toBe('tone-generator');
  });

  test('does not serve vfio-user there, and says so', async () => {
    const { code, stderr } = await hdvkit(['serve', 'device.ts', '--socket', 'x']);
    expect(stderr).toMatch(/Cannot serve a device on win32: vfio-user passes descriptors/);
    expect(code).toBe(2);
  });

  test('attaches a device by the calls of the real libraries', async () => {
    const { code, stdout, stderr } = await hdvkit(['demo', '--host', 'windows']);
    expect(stderr).toBe('');
    for (const text of [
      /HcsCreateComputeSystem\("hdvkit-demo-\d+"/,
      /HdvInitializeDeviceHost(Ex)?\(/,
      /HcsModifyComputeSystem\(.*FlexibleIov/,
      /HcsStartComputeSystem\(/,
      /The machine runs with the device in it/,
      /HdvTeardownDeviceHost\(/,
      /HcsTerminateComputeSystem\(/,
    ]) {
      expect(stdout).toMatch(text);
    }
    expect(code).toBe(0);
  });

  test('connects the console of a machine to the terminal', async () => {
    const pipe = `\\\\.\\pipe\\hdvkit-test-${process.pid}`;
    writeFileSync(
      join(folder, 'console.json'),
      JSON.stringify({ VirtualMachine: { Devices: { ComPorts: { 0: { NamedPipe: pipe } } } } }),
    );
    // The stand-in makes no pipe: this is the machine's end.
    const machine = createServer();
    const connection = once(machine, 'connection');
    machine.listen(pipe);
    const args = ['run', 'device.ts', '--host', 'windows'];
    const child = start([...args, '--document', 'console.json']);
    child.stdin.write('uname\n');
    const [socket] = (await connection) as [Socket];
    const typed = once(socket, 'data');
    socket.write('login: ');
    const [shown] = await once(child.stdout, 'data');
    expect(String(shown)).toBe('login: ');
    expect(String((await typed)[0])).toBe('uname\n');
    child.kill();
    await once(child, 'close');
    machine.close();
    socket.destroy();
  });

  test('refuses what needs a guest of ours', async () => {
    const { code, stderr } = await hdvkit([
      'run',
      'device.ts',
      '--host',
      'windows',
      '--share',
      '.',
    ]);
    expect(stderr).toMatch(/Cannot use --share on the host windows: the guest there is your own/);
    expect(code).toBe(2);
  });

  test('doctor looks at the libraries of Windows, and at no QEMU', async () => {
    const { code, stdout } = await hdvkit(['doctor', '--json']);
    const { checks, hosts } = JSON.parse(stdout) as {
      checks: { name: string; state: string; detail: string }[];
      hosts: unknown;
    };
    expect(checks.map(({ name }) => name)).toEqual([
      'node',
      'system',
      'windows',
      'hyperv',
      'vmcompute',
      'membership',
      'computecore.dll',
      'computestorage.dll',
      'vmdevicehost.dll',
    ]);
    for (const { name, state, detail } of checks.slice(-3)) {
      expect(state, `${name}: ${detail}`).toBe('ok');
      expect(detail).toMatch(/(\d+) of \1 functions/);
    }
    expect(hosts).toEqual({ simulated: true, linux: false, windows: true });
    expect(code).toBe(0);
  });
});
