import { writeFileSync } from 'node:fs';
import { warnOnce } from './warn-once.ts';
import type { WatchedFolder } from './watched-folder.ts';

/** Bytes of a command line in a file of QEMU's options, which has lines of 1,023 (qemu_config_foreach in util/qemu-config.c). */
const LONGEST_LINE = 1000;

/**
 * Writes the command line of a kernel into a file of QEMU's options, in the machine's folder: what QEMU has as arguments, all
 * users of this computer see. There it has no more bytes than a line of the file has room for, and no double quotes.
 * @returns the file; undefined for one that has to be an argument, with a warning, and for none
 */
export function kernelOptionsFile(folder: WatchedFolder, commandLine: string): string | undefined {
  if (commandLine === '') return undefined;
  if (/["\r\n]/.test(commandLine) || Buffer.byteLength(commandLine) > LONGEST_LINE) {
    warnOnce(
      `A kernel's command line (KernelCmdLine) with double quotes or of more than ${LONGEST_LINE} bytes is seen by all users of this computer, as an argument of QEMU: keep secrets out of it`,
    );
    return undefined;
  }
  const path = folder.file('kernel-options');
  writeFileSync(path, `[machine]\n  append = "${commandLine}"\n`, { mode: 0o600, flag: 'wx' });
  return path;
}
