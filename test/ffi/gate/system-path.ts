import { join } from 'node:path';
import { buildStandIns, standInFile } from '../../windows/build-stand-ins.ts';

/** The library that stands for Windows where there is none; undefined on Windows. */
export const systemPath: string | undefined =
  process.platform === 'win32'
    ? undefined
    : join(buildStandIns('elf'), standInFile('elf', 'system'));
