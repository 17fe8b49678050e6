import { stat } from 'node:fs/promises';
import type { DebugOptions, GuestCrashReporting } from '../../hcs/schema/documents.ts';
import { replaceFile, syncFile } from '../replaced-file.ts';
import type { PlannedCrashFiles } from './machine-plan.ts';
import type { QemuProcess } from './qemu-process.ts';
import type { QmpClient } from './qmp.ts';
import { requireFolderOf } from './required-file.ts';
import type { WatchedFolder } from './watched-folder.ts';

/** Where the document names the file of a dump. */
const DUMP_FILE = '$.VirtualMachine.Devices.GuestCrashReporting.WindowsCrashSettings.DumpFileName';

/** Reads GuestCrashReporting and DebugOptions of a document. */
export function planCrashFiles(
  debug: DebugOptions = {},
  reporting: GuestCrashReporting = {},
): PlannedCrashFiles {
  const { WindowsCrashSettings = {} } = reporting;
  const { DumpFileName: dump, MaxDumpSize = 0 } = WindowsCrashSettings;
  if (dump !== undefined) requireFolderOf(DUMP_FILE, dump);
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
 * @param folder the machine's, which knows what has to be removed when this process ends meanwhile
 * @throws HcsError with the reason
 */
export async function dumpMemory(
  { qmp, files }: Pick<QemuProcess, 'qmp' | 'files'>,
  folder: WatchedFolder,
  path: string,
  limit: number | undefined,
): Promise<void> {
  const write = async (part: string): Promise<void> => {
    const out = await files.lendForWriting(qmp, part);
    try {
      await qmp.execute('dump-guest-memory', {
        paging: false,
        protocol: `file:${out.name}`,
        format: 'kdump-zlib',
        detach: true,
      });
      await dumped(qmp, part, limit);
    } finally {
      await out.back();
    }
    await syncFile(part);
  };
  await replaceFile(path, folder, write, { function: 'HcsCrashComputeSystem', at: DUMP_FILE });
}

/** Resolves when QEMU has written a dump. */
async function dumped(qmp: QmpClient, part: string, limit: number | undefined): Promise<void> {
  for (;;) {
    const { status } = (await qmp.execute('query-dump')) as DumpStatus;
    const { size } = await stat(part);
    if (size > (limit ?? size)) {
      throw new Error(`the dump has more than the ${limit} bytes of MaxDumpSize`);
    }
    if (status === 'completed') return;
    if (status === 'failed') throw new Error('QEMU could not write the dump');
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}
