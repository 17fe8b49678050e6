import { readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

/**
 * Folders and files of test/ that run under Wine besides test/windows: what is the same on every system, and may break
 * on one. Those that compile C, start QEMU or use descriptors of Linux are not among them.
 */
const EVERYWHERE: readonly string[] = ['device/pci-device.test.ts', 'pci/config-space.test.ts'];

/** The test files for Windows, relative to the project's root, with slashes. */
export function windowsTests(root: string): string[] {
  const tests = (folder: string): string[] =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => `${folder}/${name.split(sep).join('/')}`);
  const own = tests('test/windows').filter((name) => !name.startsWith('test/windows/wine/'));
  const shared = EVERYWHERE.flatMap((entry) =>
    entry.endsWith('.ts') ? [`test/${entry}`] : tests(`test/${entry}`),
  );
  return [...own.sort(), ...shared];
}

/** Those whose path contains one of the words; all when there is none. */
export function selectTests(
  files: readonly string[],
  words: readonly string[],
  root: string,
): string[] {
  const wanted = words.map((word) => relative(root, join(root, word)).split(sep).join('/'));
  if (wanted.length === 0) return [...files];
  return files.filter((file) => wanted.some((word) => file.includes(word)));
}
