import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KernelModules, readModuleInfo } from '../../src/provision/kernel-modules.ts';

let root: string;
let modules: KernelModules;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'hdvm-'));
  const folder = join(root, 'lib/modules/6.1.0-test');
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'modules.dep'),
    'kernel/virtio/virtio.ko:\nkernel/virtio/virtio_ring.ko: kernel/virtio/virtio.ko\n' +
      'kernel/virtio/virtio_pci.ko: kernel/virtio/virtio_ring.ko kernel/virtio/virtio.ko\n' +
      'kernel/char/virtio-rng.ko: kernel/virtio/virtio_ring.ko kernel/virtio/virtio.ko\n',
  );
  writeFileSync(join(folder, 'modules.builtin'), 'kernel/tty/8250.ko\n');
  writeFileSync(
    join(folder, 'modules.alias'),
    '# Aliases\nalias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci\n' +
      'alias pci:v0000494Fd00000DC8sv*sd*bc*sc*i* gpio_pci_idio_16\n' +
      'alias pci:v*d*sv*sd*bc0Csc03i30* xhci_pci\nalias virtio:d00000004v* virtio_rng\n',
  );
  modules = new KernelModules({ root, kernelRelease: '6.1.0-test' });
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('modules of a kernel', () => {
  test('come after all that they need, each once', () => {
    expect(modules.order(['virtio-rng', 'virtio_pci'])).toEqual([
      'kernel/virtio/virtio.ko',
      'kernel/virtio/virtio_ring.ko',
      'kernel/char/virtio-rng.ko',
      'kernel/virtio/virtio_pci.ko',
    ]);
  });

  test('are named with hyphens or underscores', () => {
    expect(modules.order(['virtio_rng'])).toEqual(modules.order(['virtio-rng']));
  });

  test('are left out when they are part of the kernel', () => {
    expect(modules.order(['8250'])).toEqual([]);
  });

  test('are refused by name when the kernel has none', () => {
    expect(() => modules.order(['virtio_rgn'])).toThrow(
      /^Cannot load module virtio_rgn: kernel 6.1.0-test has none of that name; look for it in /,
    );
  });

  test('make a table that modprobe reads', () => {
    const paths = modules.order(['virtio_pci']);
    expect(modules.dependencyTable(paths).split('\n')[2]).toBe(
      'kernel/virtio/virtio_pci.ko: kernel/virtio/virtio_ring.ko kernel/virtio/virtio.ko',
    );
  });

  test('are found by the identity of a function', () => {
    const find = (vendorId: number, deviceId: number, classCode: number): string[] =>
      modules.forPciFunction({ vendorId, deviceId, classCode });
    expect(find(0x494f, 0x0dc8, 0x118000)).toEqual(['gpio_pci_idio_16']);
    expect(find(0x1af4, 0x1044, 0xff0000)).toEqual(['virtio_pci', 'virtio_rng']);
    expect(find(0x1af4, 0x1041, 0x020000)).toEqual(['virtio_pci']);
    expect(find(0x1234, 0x0001, 0x0c0330)).toEqual(['xhci_pci']);
    expect(find(0x1234, 0x11e8, 0x00ff00)).toEqual([]);
  });
});

describe('a module file', () => {
  test('says for which kernel it is and what it needs', () => {
    const file = join(root, 'own.ko');
    writeFileSync(
      file,
      '\x7fELF..\0license=GPL\0depends=virtio,uio\0vermagic=6.1.0-test SMP preempt \0',
    );
    expect(readModuleInfo(file)).toEqual({ release: '6.1.0-test', needs: ['virtio', 'uio'] });
  });

  test('is refused when it is something else', () => {
    const file = join(root, 'own.o');
    writeFileSync(file, '\x7fELF nothing');
    expect(() => readModuleInfo(file)).toThrow(/it is no kernel module; give the .ko file/);
  });
});
