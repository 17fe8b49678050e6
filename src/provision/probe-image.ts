import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CpioArchive } from './cpio-archive.ts';
import { storeImage } from './image-store.ts';
import type { GuestFiles } from './provision-guest.ts';

/** What a guest booted with {@link buildProbeImage} prints on its console. */
export const PROBE_ANSWER = 'hdvkit: the kernel runs';

/** An initramfs that says that it runs, and powers off. @returns its path */
export function buildProbeImage(
  { root }: Pick<GuestFiles, 'root'>,
  cache: string,
): Promise<string> {
  const archive = new CpioArchive()
    .device('dev/console', 5, 1)
    .file('bin/busybox', readFileSync(join(root, 'bin/busybox')), 0o755)
    .file('init', `#!/bin/busybox sh\necho "${PROBE_ANSWER}"\n/bin/busybox poweroff -f\n`, 0o755)
    .toBuffer();
  return storeImage(cache, [archive], () => archive);
}
