import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { AptRoot, unpackPackages } from './apt-root.ts';
import { cacheDirectory } from './cache-directory.ts';
import { findDebianMirror } from './debian-sources.ts';
import { ProvisionError } from './provision-error.ts';
import type { ProvisionOptions } from './provision-options.ts';
import { provisionFolder } from './provisioned-folder.ts';

/** Folder of the cache; the number grows when what lies in it changes. */
export const FIRMWARE_FOLDER = 'firmware-1';
const SUITE = 'trixie';

/** The folder that {@link provisionFirmware} filled, laid out as a system's root, if it has run. */
export function provisionedFirmware(cache: string = cacheDirectory()): string | undefined {
  const folder = join(cache, FIRMWARE_FOLDER);
  return existsSync(join(folder, 'version')) ? join(folder, 'root') : undefined;
}

/**
 * Fetches a UEFI firmware for QEMU from Debian into the cache, unless it is there. Nothing of the machine changes. Safe
 * to call from several processes at once.
 *
 * @returns the folder, laid out as a system's root
 * @throws ProvisionError when this is no Debian, or the mirror cannot be reached
 */
export async function provisionFirmware(options: ProvisionOptions = {}): Promise<string> {
  const cache = options.cache ?? cacheDirectory();
  await provisionFolder(join(cache, FIRMWARE_FOLDER), options, async (folder) => {
    const apt = new AptRoot(join(cache, 'apt', FIRMWARE_FOLDER), options);
    const files = await apt.fetch(findDebianMirror(), {
      title: 'UEFI firmware',
      suites: [SUITE],
      packages: ['ovmf'],
    });
    const root = join(folder, 'root');
    await unpackPackages(files, root, 'unpack the firmware', options);
    if (readdirSync(join(root, 'usr/share/qemu/firmware')).length === 0) {
      throw new ProvisionError(
        'Cannot use the firmware that was fetched: its package describes none',
        'run "hdvkit provision --force"',
      );
    }
    const version = /ovmf_([^_]+)_/.exec(files.find((file) => file.includes('ovmf_')) ?? '')?.[1];
    apt.discard();
    return { version: version ?? SUITE };
  });
  return join(cache, FIRMWARE_FOLDER, 'root');
}
