import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AptRoot, unpackPackages } from './apt-root.ts';
import { cacheDirectory } from './cache-directory.ts';
import { findDebianMirror } from './debian-sources.ts';
import { extractKernel } from './kernel-image.ts';
import { provisionAgent } from './provision-agent.ts';
import { ProvisionError } from './provision-error.ts';
import type { ProvisionOptions } from './provision-options.ts';
import { provisionFolder } from './provisioned-folder.ts';
import { runTool } from './run-tool.ts';

/** What a test guest is made of: a distribution's kernel, its modules, and a few of its programs. */
export interface GuestFiles {
  /** Kernel image for QEMU's -kernel, which a machine with QEMU's BIOS boots fastest. */
  readonly kernel: string;
  /** The same as a program for UEFI firmware. */
  readonly efiKernel: string;
  /** `'6.1.0-50-amd64'`: what `uname -r` says in the guest. */
  readonly kernelRelease: string;
  /** Root of the unpacked packages; modules are in lib/modules/RELEASE, with modules.dep. */
  readonly root: string;
}

/** Folder of the cache; the number grows when what lies in it changes. */
export const GUEST_FOLDER = 'guest-4';
const SUITE = 'bookworm';

/** The guest that {@link provisionGuest} left in the cache, if it has run. */
export function provisionedGuest(cache: string = cacheDirectory()): GuestFiles | undefined {
  const folder = join(cache, GUEST_FOLDER);
  const file = join(folder, 'version');
  if (!existsSync(file)) return undefined;
  return {
    kernel: join(folder, 'vmlinux'),
    efiKernel: join(folder, 'vmlinuz'),
    kernelRelease: readFileSync(file, 'utf8'),
    root: join(folder, 'root'),
  };
}

/** The guest in the cache. @throws ProvisionError when there is none */
export function findGuest(cache?: string): GuestFiles {
  const guest = provisionedGuest(cache);
  if (guest !== undefined) return guest;
  throw new ProvisionError(
    'Cannot boot a Linux guest: there is no test guest in the cache',
    'run "hdvkit provision"',
  );
}

/**
 * Fetches Debian's kernel with its modules, a static busybox, the gpiod tools and lspci into the cache, and compiles the
 * guest's agent, unless they are there. Nothing of the machine changes. Safe to call from several processes at once; picks up where an interrupted
 * run ended.
 *
 * @throws ProvisionError when this is no Debian, or the mirror cannot be reached
 */
export async function provisionGuest(options: ProvisionOptions = {}): Promise<GuestFiles> {
  const cache = options.cache ?? cacheDirectory();
  await provisionFolder(join(cache, GUEST_FOLDER), options, async (folder) => {
    const mirror = findDebianMirror();
    const apt = new AptRoot(join(cache, 'apt', GUEST_FOLDER), options);
    const files = await apt.fetch(mirror, {
      title: 'the test guest',
      suites: [SUITE],
      packages: ['linux-image-amd64', 'busybox-static', 'gpiod', 'kmod', 'pciutils', 'xz-utils'],
      // The initramfs is ours, and nothing is installed that would need a maintainer script.
      present: ['initramfs-tools', 'linux-initramfs-tool', 'linux-base', 'dracut', 'debconf'],
    });
    const root = join(folder, 'root');
    await unpackPackages(files, root, 'unpack the test guest', options);
    const release = readdirSync(join(root, 'lib/modules'))[0];
    if (release === undefined) {
      throw new ProvisionError(
        'Cannot find a kernel in what was fetched',
        'run "hdvkit provision --force"',
      );
    }
    const image = join(folder, 'vmlinuz');
    renameSync(join(root, `boot/vmlinuz-${release}`), image);
    const kernel = join(folder, 'vmlinux');
    options.progress?.({ step: 'unpack the kernel', done: 0, total: 1 });
    if (!(await extractKernel(image, guestProgram(root, 'usr/bin/xz'), kernel)))
      copyFileSync(image, kernel);
    options.progress?.({ step: 'unpack the kernel', done: 1, total: 1 });
    for (const name of ['boot', 'usr/share/doc', 'usr/share/man', 'usr/share/locale']) {
      rmSync(join(root, name), { recursive: true, force: true });
    }
    options.progress?.({ step: 'index the kernel modules', done: 0, total: 1 });
    const [command, args] = guestProgram(root, 'bin/kmod', 'depmod');
    const { code, stderr } = await runTool(command, [...args, '-b', root, release]);
    if (code !== 0) {
      throw new ProvisionError(
        `Cannot index the kernel modules: ${stderr.trim()}`,
        'run "hdvkit provision --force"',
      );
    }
    options.progress?.({ step: 'index the kernel modules', done: 1, total: 1 });
    apt.discard();
    return { version: release };
  });
  await provisionAgent(options);
  return provisionedGuest(cache)!;
}

/** Folders of a Debian root where shared libraries are. */
export const LIBRARY_FOLDERS = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu'] as const;

/**
 * How to run a program of the guest on this machine, by the guest's own loader and libraries.
 *
 * @param path below the root: `'usr/bin/lspci'`
 * @param name argument 0, for programs that go by it
 */
export function guestProgram(
  root: string,
  path: string,
  name?: string,
): [command: string, args: string[]] {
  const libraries = LIBRARY_FOLDERS.map((folder) => join(root, folder)).join(':');
  const asName = name === undefined ? [] : ['--argv0', name];
  return [
    join(root, 'lib/x86_64-linux-gnu/ld-linux-x86-64.so.2'),
    ['--library-path', libraries, ...asName, join(root, path)],
  ];
}
