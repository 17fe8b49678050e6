import { open, rm, stat, writeFile } from 'node:fs/promises';
import type { FileUser, VmFiles } from '../../compute/vm-files.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import type { VmProcessorRequirements } from '../../hcs/schema/documents.ts';
import { SavedStateError } from '../saved-state-head.ts';
import { checkSavedFile, emptySavedFile } from './saved-file.ts';

const MAGIC = 'HDVKSIM\0';
const VERSION = 1;
/** Bytes of a guest state, with nothing in it: magic, kind, version (little endian), zeros. */
const HEAD_SIZE = 64;
const GUEST_STATE = 1;

/**
 * Files of simulated machines. These run in this process, under its account, so nobody has to be let in: granting and
 * revoking only check what a real host would refuse, that the path is there and that the caller may change its rights.
 */
export class SimulatedFiles implements VmFiles {
  createGuestState(path: string): Promise<void> {
    const head = Buffer.alloc(HEAD_SIZE);
    head.write(MAGIC, 'latin1');
    head.writeUInt32LE(GUEST_STATE, 8);
    head.writeUInt32LE(VERSION, 12);
    return create(path, head);
  }

  createRuntimeState(path: string): Promise<void> {
    return create(path, emptySavedFile());
  }

  /** A machine that is TypeScript needs nothing of a processor. */
  async processorRequirements(path: string): Promise<VmProcessorRequirements> {
    try {
      await checkSavedFile(path);
    } catch (error) {
      if (!(error instanceof SavedStateError)) throw error;
      throw new HcsError({
        function: 'HcsGetProcessorCompatibilityFromSavedState',
        hresult: HRESULT.ERROR_INVALID_DATA,
        message: error.message,
        cause: error,
      });
    }
    return { ProcessorFeatures: [], XsaveProcessorFeatures: [] };
  }

  async grant(_user: FileUser, path: string): Promise<void> {
    await requireOwner(path);
  }

  async revoke(_user: FileUser, path: string): Promise<void> {
    await requireOwner(path);
  }
}

async function create(path: string, content: Uint8Array): Promise<void> {
  // Apart from the writing, so that a file that was there is not removed.
  await (await open(path, 'wx', 0o600)).close();
  try {
    await writeFile(path, content, { flag: 'r+' });
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

async function requireOwner(path: string): Promise<void> {
  const { uid } = await stat(path);
  const caller = process.getuid?.();
  if (caller === undefined || caller === 0 || caller === uid) return;
  throw Object.assign(new Error(`${path} belongs to user ${uid}`), { code: 'EPERM' });
}
