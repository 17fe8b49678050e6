import { constants } from 'node:fs';
import { type FileHandle, open, rm, stat, writeFile } from 'node:fs/promises';
import type { FileUser, VmFiles } from '../../compute/vm-files.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import type { VmProcessorRequirements } from '../../hcs/schema/documents.ts';

const MAGIC = 'HDVKSIM\0';
const VERSION = 1;
/** Bytes of a file with nothing in it: magic, kind, version (little endian), zeros. */
const HEAD_SIZE = 64;
const Kind = { GUEST_STATE: 1, RUNTIME_STATE: 2 } as const;

/**
 * Files of simulated machines. These run in this process, under its account, so nobody has to be let in: granting and
 * revoking only check what a real host would refuse, that the path is there and that the caller may change its rights.
 */
export class SimulatedFiles implements VmFiles {
  createGuestState(path: string): Promise<void> {
    return create(path, Kind.GUEST_STATE);
  }

  createRuntimeState(path: string): Promise<void> {
    return create(path, Kind.RUNTIME_STATE);
  }

  /** A machine that is TypeScript needs nothing of a processor. */
  async processorRequirements(path: string): Promise<VmProcessorRequirements> {
    const file = await open(path, constants.O_RDONLY);
    try {
      await requireHead(file, path, Kind.RUNTIME_STATE);
    } finally {
      await file.close();
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

async function create(path: string, kind: number): Promise<void> {
  const head = Buffer.alloc(HEAD_SIZE);
  head.write(MAGIC, 'latin1');
  head.writeUInt32LE(kind, 8);
  head.writeUInt32LE(VERSION, 12);
  // Apart from the writing, so that a file that was there is not removed.
  await (await open(path, 'wx', 0o600)).close();
  try {
    await writeFile(path, head, { flag: 'r+' });
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

async function requireHead(file: FileHandle, path: string, kind: number): Promise<void> {
  const head = Buffer.alloc(HEAD_SIZE);
  const { bytesRead } = await file.read(head, 0, HEAD_SIZE, 0);
  const fits =
    bytesRead === HEAD_SIZE &&
    head.toString('latin1', 0, MAGIC.length) === MAGIC &&
    head.readUInt32LE(8) === kind &&
    head.readUInt32LE(12) === VERSION;
  if (fits) return;
  throw new HcsError({
    function: 'HcsGetProcessorCompatibilityFromSavedState',
    hresult: HRESULT.ERROR_INVALID_DATA,
    message: `"${path}" is no runtime state of the simulated host: HcsCreateEmptyRuntimeStateFile makes one`,
  });
}

async function requireOwner(path: string): Promise<void> {
  const { uid } = await stat(path);
  const caller = process.getuid?.();
  if (caller === undefined || caller === 0 || caller === uid) return;
  throw Object.assign(new Error(`${path} belongs to user ${uid}`), { code: 'EPERM' });
}
