import { rename, rm, stat, writeFile } from 'node:fs/promises';
import type { DebugOptions, GuestCrashReporting } from '../../hcs/schema/documents.ts';
import type { PlannedCrashFiles } from './machine-plan.ts';
import type { QemuProcess } from './qemu-process.ts';
import { requireFolderOf } from './required-file.ts';

/** Reads GuestCrashReporting and DebugOptions of a document. */
export function planCrashFiles(
  debug: DebugOptions = {},
  reporting: GuestCrashReporting = {},
): PlannedCrashFiles {
  const at = '$.VirtualMachine.Devices.GuestCrashReporting.WindowsCrashSettings';
  const { WindowsCrashSettings = {} } = reporting;
  const { DumpFileName: dump, MaxDumpSize = 0 } = WindowsCrashSettings;
  if (dump !== undefined) requireFolderOf(`${at}.DumpFileName`, dump);
  return {
    dump,
    dumpLimit: MaxDumpSize <= 0 ? undefined : MaxDumpSize,
    savedState: savedStateOf(debug, 'BugcheckSavedStateFileName'),
    savedStateWithoutDump: savedStateOf(debug, 'BugcheckNoCrashdumpSavedStateFileName'),
    endState: savedStateOf(debug, 'ShutdownOrResetSavedStateFileName'),
  };
}

function savedStateOf(debug: DebugOptions, name: keyof DebugOptions): string | undefined {
  const path = debug[name];
  if (path !== undefined) requireFolderOf(`$.VirtualMachine.DebugOptions.${name}`, path);
  return path;
}

/** Milliseconds between looks at the size of a dump. */
const INTERVAL_MS = 50;

interface DumpStatus {
  readonly status: 'none' | 'active' | 'completed' | 'failed';
}

/**
 * Writes the guest's memory to a file. What was there stays until the dump is whole; a dump that grows beyond the limit is
 * removed, while QEMU may go on with it: it is not to be used for anything else then.
 * @throws Error with the reason
 */
export async function dumpMemory(
  { qmp, files }: Pick<QemuProcess, 'qmp' | 'files'>,
  path: string,
  limit: number | undefined,
): Promise<void> {
  const part = `${path}.part`;
  await rm(part, { force: true });
  await writeFile(part, '', { flag: 'wx', mode: 0o600 });
  const out = await files.lendForWriting(qmp, part);
  try {
    await qmp.execute('dump-guest-memory', {
      paging: false,
      protocol: `file:${out.name}`,
      format: 'kdump-zlib',
      detach: true,
    });
    for (;;) {
      const { status } = (await qmp.execute('query-dump')) as DumpStatus;
      const { size } = await stat(part);
      if (size > (limit ?? size)) {
        throw new Error(`the dump has more than the ${limit} bytes of MaxDumpSize`);
      }
      if (status === 'completed') break;
      if (status === 'failed') throw new Error('QEMU could not write the dump');
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  } finally {
    await out.back();
  }
}
