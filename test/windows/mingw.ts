import { spawnSync } from 'node:child_process';

/** mingw-w64's C compiler for Windows x64. */
export const MINGW_GCC = 'x86_64-w64-mingw32-gcc';

let declared: ReadonlySet<string> | undefined;

/** Every name in mingw-w64's computecore.h and computestorage.h, which differ from release to release. */
export function mingwDeclarations(): ReadonlySet<string> {
  if (declared !== undefined) return declared;
  const includes = '#include <windows.h>\n#include <computecore.h>\n#include <computestorage.h>\n';
  const { status, stdout, stderr, error } = spawnSync(MINGW_GCC, ['-E', '-x', 'c', '-'], {
    input: includes,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`Cannot read mingw-w64's headers: ${stderr}`);
  declared = namesOf(stdout);
  return declared;
}

/** Names in the parts of preprocessed text that come from the two headers and what only they include. */
function namesOf(text: string): Set<string> {
  const names = new Set<string>();
  let inside = false;
  for (const line of text.split('\n')) {
    const marker = /^# \d+ "([^"]*)"/.exec(line);
    if (marker !== null) inside = /[/\\]compute(?:core|defs|storage)\.h$/.test(marker[1] ?? '');
    else if (inside) for (const [name] of line.matchAll(/\b[A-Za-z_]\w*\b/g)) names.add(name);
  }
  return names;
}

let available: boolean | undefined;

/** Whether mingw-w64's compiler is installed. */
export function hasMingw(): boolean {
  available ??= spawnSync(MINGW_GCC, ['--version']).status === 0;
  return available;
}

/** The functions that an import library of mingw-w64 (`libcomputecore.a`) resolves. */
export function exportsOf(library: string): string[] {
  const path = run(MINGW_GCC, `-print-file-name=${library}`).trim();
  const symbols = run('x86_64-w64-mingw32-nm', '--defined-only', path);
  return [...symbols.matchAll(/ T (\w+)$/gm)].map(([, name]) => name as string).sort();
}

function run(command: string, ...parameters: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, parameters, { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`Cannot run ${command}: ${stderr}`);
  return stdout;
}
