import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runTool } from '../../../src/provision/run-tool.ts';
import { buildStandIns, standInFile, standInNames } from '../build-stand-ins.ts';
import { MINGW_GCC } from '../mingw.ts';
import type { Wine } from './wine.ts';

/** Puts libraries where Windows keeps its own: the stand-ins, which no Wine has, and what Wine 8 lacks. */
export async function installLibraries({ prefix }: Wine): Promise<void> {
  const system32 = join(prefix, 'drive_c/windows/system32');
  const folder = buildStandIns('dll');
  for (const name of standInNames('dll')) {
    const file = standInFile('dll', name);
    copyFileSync(join(folder, file), join(system32, file));
  }
  const random = join(system32, 'bcryptprimitives.dll');
  if (existsSync(random)) return;
  const source = fileURLToPath(new URL('bcryptprimitives.c', import.meta.url));
  const args = ['-O2', '-Wall', '-Wextra', '-Werror', '-shared', '-o', random, source];
  const { code, stderr } = await runTool(MINGW_GCC, [...args, '-ladvapi32']);
  if (code !== 0) throw new Error(`Cannot compile ${source}: ${stderr}`);
}
