import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findQemu } from '../../src/provision/find-qemu.ts';

const { PATH, HDVKIT_QEMU } = process.env;
let folder: string;
let cache: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvf-'));
  cache = join(folder, 'cache');
  delete process.env.HDVKIT_QEMU;
  process.env.PATH = join(folder, 'bin');
  mkdirSync(join(folder, 'bin'));
});

afterEach(() => {
  process.env.PATH = PATH;
  if (HDVKIT_QEMU === undefined) delete process.env.HDVKIT_QEMU;
  else process.env.HDVKIT_QEMU = HDVKIT_QEMU;
  rmSync(folder, { recursive: true, force: true });
});

/** A program that answers QEMU's questions. */
function qemu(path: string, version: string, devices: string, help = '-sandbox on'): string {
  const file = join(folder, path);
  writeFileSync(
    file,
    `#!/bin/sh\ncase "$1" in\n--version) echo "QEMU emulator version ${version} (Debian)";;\n-device) echo 'name "${devices}", bus PCI';;\n--help) echo '${help}';;\nesac\n`,
  );
  chmodSync(file, 0o755);
  return file;
}

function provisioned(version: string): void {
  mkdirSync(join(cache, 'qemu-1'), { recursive: true });
  writeFileSync(join(cache, 'qemu-1/version'), version);
}

describe('the QEMU that is used', () => {
  test('is an installed one that has vfio-user-pci', async () => {
    const command = qemu('bin/qemu-system-x86_64', '11.0.1', 'vfio-user-pci');
    provisioned('11.1.3');
    expect(await findQemu({ cache })).toEqual({
      command,
      args: [],
      version: '11.0.1',
      source: 'installed',
      hasSandbox: true,
    });
  });

  test('may have been built without a sandbox, which is told', async () => {
    const explicit = qemu('bare', '11.0.1', 'vfio-user-pci', 'seccomp: -sandbox off');
    expect(await findQemu({ explicit })).toMatchObject({ command: explicit, hasSandbox: false });
  });

  test('is the provisioned one, with its own loader and libraries, when the installed one is old', async () => {
    qemu('bin/qemu-system-x86_64', '7.2.15', 'vfio-pci');
    provisioned('11.1.3');
    const found = await findQemu({ cache });
    expect(found).toMatchObject({ version: '11.1.3', source: 'provisioned' });
    expect(found.command).toMatch(/\/qemu-1\/root\/usr\/lib\/.*ld-linux-x86-64\.so\.2$/);
    expect(found.args).toContain('-L');
  });

  test('is the one that is named, and no other', async () => {
    qemu('bin/qemu-system-x86_64', '11.0.1', 'vfio-user-pci');
    const explicit = qemu('own', '11.2.0', 'vfio-user-pci');
    expect(await findQemu({ explicit })).toMatchObject({ command: explicit, source: 'explicit' });
    process.env.HDVKIT_QEMU = explicit;
    expect(await findQemu({ cache })).toMatchObject({ command: explicit, version: '11.2.0' });
  });
});

describe('a QEMU that does not do', () => {
  const remedy = /; run "hdvkit provision", or install QEMU 10\.1\.1 or later/;

  test('is refused with its version when it was named', async () => {
    const explicit = qemu('old', '7.2.15', 'vfio-pci');
    const refused = findQemu({ explicit });
    await expect(refused).rejects.toThrow(/it is QEMU 7\.2\.15 without vfio-user-pci/);
    await expect(refused).rejects.toThrow(remedy);
  });

  test('is refused when it is the release whose vfio-user-pci was broken', async () => {
    const explicit = qemu('broken', '10.1.0', 'vfio-user-pci');
    await expect(findQemu({ explicit })).rejects.toThrow(/10\.1\.0/);
  });

  test('is refused when it is something else, or not there', async () => {
    await expect(findQemu({ explicit: '/bin/true' })).rejects.toThrow(/does not answer as QEMU/);
    await expect(findQemu({ explicit: '/nowhere/qemu' })).rejects.toThrow(
      'Cannot run /nowhere/qemu: there is no such program',
    );
  });

  test('leaves nothing to run on when there is no other', async () => {
    await expect(findQemu({ cache })).rejects.toThrow(/^Cannot find qemu-system-x86_64; run/);
    qemu('bin/qemu-system-x86_64', '10.0.2', 'vfio-pci');
    await expect(findQemu({ cache })).rejects.toThrow(/it is QEMU 10\.0\.2 without vfio-user-pci/);
  });
});
