import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT, signedHresult } from '../../hcs/hresult.ts';
import type { CrashReport } from '../../hcs/schema/documents.ts';
import { dumpMemory } from './crash-files.ts';
import { readCrashLog } from './crash-log.ts';
import type { PlannedCrashFiles } from './machine-plan.ts';
import { readOwnFile } from './own-file.ts';
import type { QemuProcess } from './qemu-process.ts';
import type { WatchedFolder } from './watched-folder.ts';

/** What a report is made from. */
export interface CrashedGuest {
  readonly id: string;
  /** File of the guest's error records. */
  readonly crashLog: string;
  readonly files: PlannedCrashFiles;
  readonly qemu: Pick<QemuProcess, 'qmp' | 'files'>;
  /** The machine's own, which removes what is half written when this process ends. */
  readonly folder: WatchedFolder;
  /** Saves the machine, which is stopped. */
  save(path: string): Promise<void>;
}

/** Writes what the document asks for at a crash, and reports it with the guest's last messages. */
export async function crashReport(guest: CrashedGuest): Promise<CrashReport> {
  const { dump, dumpLimit, savedStateWithoutDump, ...files } = guest.files;
  const savedStates = [files.savedState, dump === undefined ? savedStateWithoutDump : undefined];
  const [savedState, ...copies] = savedStates.filter((path) => path !== undefined);
  const problems: string[] = [];
  let log: string | undefined;
  try {
    log = readCrashLog(await readOwnFile(guest.crashLog));
  } catch (error) {
    problems.push(`The messages of the guest were not read: ${(error as Error).message}`);
  }
  const attempt = async (what: string, write: () => Promise<void>): Promise<boolean> => {
    try {
      await write();
      return true;
    } catch (error) {
      const reason = error instanceof HcsError ? error.reason : (error as Error).message;
      problems.push(`The ${what} was not written: ${reason}`);
      return false;
    }
  };
  if (savedState !== undefined || dump !== undefined) {
    // A guest that hangs after its panic is not to change what is written.
    await guest.qemu.qmp.execute('stop').catch(() => undefined);
  }
  const isSaved =
    savedState !== undefined && (await attempt('saved state', () => guest.save(savedState)));
  for (const copy of copies) await attempt('saved state', () => guest.save(copy));
  const isDumped =
    dump !== undefined &&
    (await attempt('dump', () => dumpMemory(guest.qemu, guest.folder, dump, dumpLimit)));
  return {
    SystemId: guest.id,
    CrashLog: [
      log ??
        'The guest panicked and left no messages: its console has them, or boot it with pstore.backend=erst',
      ...problems,
    ].join('\n'),
    CrashStackUnavailable: log === undefined,
    ...(isDumped ? { WindowsCrashInfo: { DumpFile: dump } } : {}),
    ...(savedState === undefined
      ? {}
      : {
          GuestCrashSaveInfo: {
            SaveStateFile: savedState,
            Status: signedHresult(isSaved ? HRESULT.S_OK : HRESULT.E_FAIL),
          },
        }),
  };
}
