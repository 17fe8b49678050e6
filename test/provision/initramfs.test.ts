import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildInitramfs, type InitramfsOptions } from '../../src/provision/initramfs.ts';
import type { GuestFiles } from '../../src/provision/provision-guest.ts';

const RELEASE = '6.1.0-test';
const MODULES = [
  'button',
  'evdev',
  'pvpanic-pci',
  'uio_pci_generic',
  'virtio_pci',
  '9pnet_virtio',
  '9p',
  'dummy',
];
let folder: string;
let guest: GuestFiles;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvi-'));
  const root = join(folder, 'root');
  guest = {
    root,
    kernelRelease: RELEASE,
    kernel: join(folder, 'vmlinux'),
    efiKernel: join(folder, 'vmlinuz'),
  };
  // Stand-ins: a busybox that lists its applets, and a loader that lists a program's libraries.
  program('root/bin/busybox', 'printf "bin/busybox\\nbin/sh\\nsbin/insmod\\n"');
  program(
    'root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
    `echo "  libone.so.1 => ${root}/usr/lib/x86_64-linux-gnu/libone.so.1 (0x0)"; echo "  vdso (0x0)"`,
  );
  file('root/usr/lib/x86_64-linux-gnu/libone.so.1', 'library');
  file('root/usr/share/misc/pci.ids', '');
  for (const tool of [
    'gpiodetect',
    'gpiofind',
    'gpioget',
    'gpioinfo',
    'gpiomon',
    'gpioset',
    'lspci',
  ]) {
    file(`root/usr/bin/${tool}`, tool);
  }
  const folderOfModules = `root/lib/modules/${RELEASE}`;
  for (const name of MODULES) file(`${folderOfModules}/kernel/${name}.ko`, `module ${name}`);
  file(
    `${folderOfModules}/modules.dep`,
    MODULES.map(
      (name) => `kernel/${name}.ko:${name === '9p' ? ' kernel/9pnet_virtio.ko' : ''}\n`,
    ).join(''),
  );
  file(`${folderOfModules}/modules.builtin`, '');
  file('agent', 'agent');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function file(path: string, text: string): string {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
  return join(folder, path);
}

function program(path: string, body: string): void {
  chmodSync(file(path, `#!/bin/sh\n${body}\n`), 0o755);
}

function build(options: Partial<InitramfsOptions> = {}): Promise<string> {
  return buildInitramfs({
    guest,
    agent: join(folder, 'agent'),
    cache: join(folder, 'cache'),
    ...options,
  });
}

/** Path → content of everything in an image of several archives; a link has its target as content. */
async function contents(image: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (let rest = await readFile(image); rest.length > 0; ) {
    const { buffer, engine } = gunzipSync(rest, { info: true }) as unknown as {
      readonly buffer: Buffer;
      readonly engine: { readonly bytesWritten: number };
    };
    readArchive(buffer, found);
    rest = rest.subarray((engine.bytesWritten + 3) & ~3);
  }
  return found;
}

function readArchive(archive: Buffer, found: Map<string, string>): void {
  for (let at = 0; at < archive.length; ) {
    if (archive[at] === 0) {
      at += 4; // After an archive's end; another may follow.
      continue;
    }
    const number = (index: number): number =>
      Number.parseInt(archive.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
    const name = archive.toString('utf8', at + 110, at + 110 + number(11) - 1);
    const start = (at + 110 + number(11) + 3) & ~3;
    found.set(name, archive.toString('utf8', start, start + number(6)));
    at = (start + number(6) + 3) & ~3;
  }
}

describe('the initramfs', () => {
  test('has busybox by all its names, the tools with their libraries, and the agent', async () => {
    const image = await contents(await build());
    expect(image.get('bin/sh')).toBe('/bin/busybox');
    expect(image.get('usr/bin/gpiodetect')).toBe('gpiodetect');
    expect(image.get('usr/lib/x86_64-linux-gnu/libone.so.1')).toBe('library');
    expect(image.get('bin/hdvkit-agent')).toBe('agent');
    expect(image.get('init')).toMatch(/^#!\/bin\/sh\n/);
    expect(image.has('etc/hdvkit/shell')).toBe(false);
  });

  test('has the modules that are wanted, in the order of loading', async () => {
    const image = await contents(
      await build({
        modules: ['dummy'],
        shares: [{ tag: 't', mountPoint: '/mnt/t', readOnly: true }],
      }),
    );
    const names = image.get('etc/hdvkit/modules')?.match(/[^/]+(?=\.ko)/g);
    expect(names?.slice(-4)).toEqual(['virtio_pci', '9pnet_virtio', '9p', 'dummy']);
    expect(image.get(`lib/modules/${RELEASE}/kernel/dummy.ko`)).toBe('module dummy');
    expect(image.get('etc/hdvkit/shares')).toBe('t /mnt/t ,ro\n');
  });

  test('has the user’s module with its parameters and what it depends on', async () => {
    const own = file('own.ko', `\x7fELF\0depends=dummy\0vermagic=${RELEASE} SMP \0`);
    const image = await contents(await build({ extraModules: [`${own} debug=1 mode=x`] }));
    const lines = image.get('etc/hdvkit/modules')?.trim().split('\n');
    expect(lines?.at(-2)).toMatch(/dummy\.ko$/);
    expect(lines?.at(-1)).toBe(`/lib/modules/${RELEASE}/extra/own.ko debug=1 mode=x`);
  });

  test('has the user’s files and commands, and a shell when it is wanted', async () => {
    const mine = file('mine', 'text');
    const image = await contents(
      await build({ files: { '/etc/mine': mine }, commands: ['a', 'b'], shell: true }),
    );
    expect(image.get('etc/mine')).toBe('text');
    expect(image.get('etc/hdvkit/commands')).toBe('a\nb\n');
    expect(image.has('etc/hdvkit/shell')).toBe(true);
  });

  test('is the same file for the same content, and another for another', async () => {
    const first = await build();
    expect(await build()).toBe(first);
    expect(await build({ modules: ['dummy'] })).not.toBe(first);
    writeFileSync(join(folder, 'agent'), 'newer agent');
    expect(await build()).not.toBe(first);
  });

  test('is refused for a module that was made for another kernel, naming its headers', async () => {
    const own = file('own.ko', '\x7fELF\0depends=\0vermagic=5.10.0-1-amd64 SMP \0');
    await expect(build({ extraModules: [own] })).rejects.toThrow(
      `Cannot load ${own}: it is made for kernel 5.10.0-1-amd64, and the guest runs ${RELEASE}; build it with the headers of that kernel (package linux-headers-${RELEASE} of Debian 12)`,
    );
  });

  test('is refused for a module file that is not there', async () => {
    await expect(build({ extraModules: ['/nowhere/own.ko'] })).rejects.toThrow(
      'Cannot load /nowhere/own.ko: there is no such file',
    );
  });
});
