import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AptRoot, unpackPackages } from './apt-root.ts';
import { cacheDirectory } from './cache-directory.ts';
import { findDebianMirror } from './debian-sources.ts';
import { ProvisionError } from './provision-error.ts';
import type { ProvisionOptions } from './provision-options.ts';
import { provisionFolder } from './provisioned-folder.ts';
import { runTool } from './run-tool.ts';

/** A QEMU in the cache, and how to start it. */
export interface ProvisionedQemu {
  readonly command: string;
  readonly args: readonly string[];
  readonly version: string;
}

/** Folder of the cache; the number grows when what lies in it changes. */
export const QEMU_FOLDER = 'qemu-1';
const SUITE = 'trixie-backports';

/** The QEMU that {@link provisionQemu} left in the cache, if it has run. */
export function provisionedQemu(cache: string = cacheDirectory()): ProvisionedQemu | undefined {
  const folder = join(cache, QEMU_FOLDER);
  const file = join(folder, 'version');
  if (!existsSync(file)) return undefined;
  return { ...qemuCommand(folder), version: readFileSync(file, 'utf8') };
}

/**
 * Fetches a QEMU with vfio-user-pci and everything it needs, its libc included, from Debian's backports into the cache,
 * unless it is there. Nothing of the machine changes. Safe to call from several processes at once; picks up where an
 * interrupted run ended.
 *
 * @throws ProvisionError when this is no Debian, or the mirror cannot be reached
 */
export async function provisionQemu(options: ProvisionOptions = {}): Promise<ProvisionedQemu> {
  const cache = options.cache ?? cacheDirectory();
  await provisionFolder(join(cache, QEMU_FOLDER), options, async (folder) => {
    const mirror = findDebianMirror();
    const apt = new AptRoot(join(cache, 'apt', QEMU_FOLDER), options);
    const files = await apt.fetch(mirror, {
      title: 'QEMU',
      suites: ['trixie', SUITE],
      packages: [
        'qemu-system-x86',
        'qemu-system-common',
        'qemu-system-data',
        'qemu-utils',
        'seabios',
      ].map((name) => `${name}/${SUITE}`),
    });
    await unpackPackages(files, join(folder, 'root'), 'unpack QEMU', options);
    const { command, args } = qemuCommand(folder);
    const { stdout, stderr } = await runTool(command, [...args, '--version']);
    const version = /QEMU emulator version (\d+\.\d+\.\d+)/.exec(stdout)?.[1];
    if (version === undefined) {
      throw new ProvisionError(
        `Cannot start the QEMU that was fetched: ${stderr.trim()}`,
        'run "hdvkit provision --force"',
      );
    }
    apt.discard();
    return { version };
  });
  return provisionedQemu(cache)!;
}

/** QEMU's own loader and libraries start it, as the machine's libc may be older. */
function qemuCommand(folder: string): {
  readonly command: string;
  readonly args: readonly string[];
} {
  const root = join(folder, 'root');
  const libraries = join(root, 'usr/lib/x86_64-linux-gnu');
  return {
    command: join(libraries, 'ld-linux-x86-64.so.2'),
    args: [
      '--library-path',
      `${libraries}:${libraries}/qemu`,
      join(root, 'usr/bin/qemu-system-x86_64'),
      ...['usr/share/qemu', 'usr/share/seabios', 'usr/lib/ipxe/qemu'].flatMap((name) => [
        '-L',
        join(root, name),
      ]),
    ],
  };
}
