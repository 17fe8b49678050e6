import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { GENERIC_ALL } from '../../src/hcs/core/constants.ts';
import { createNativeComputeCore } from '../../src/hcs/native/native-compute-core.ts';
import { openStandIns, type StandIns, standInsUnavailable } from './stand-ins.ts';

if (standInsUnavailable !== undefined) console.log(`Skipped: ${standInsUnavailable}`);

/** The head of a library for 32-bit x86, of this system's format. */
function headOf32Bits(): Uint8Array {
  const bytes = Buffer.alloc(512);
  if (process.platform === 'win32') {
    bytes.write('MZ', 0, 'latin1');
    bytes.writeUInt32LE(0x80, 0x3c);
    bytes.write('PE\0\0', 0x80, 'latin1');
    bytes.writeUInt16LE(0x014c, 0x84);
    bytes.writeUInt16LE(0x010b, 0x98);
  } else {
    bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
    bytes.writeUInt16LE(3, 16);
    bytes.writeUInt16LE(3, 18);
    bytes.writeUInt32LE(1, 20);
  }
  return bytes;
}

describe.runIf(standInsUnavailable === undefined)('a computecore.dll', () => {
  let folder: string;
  let standIns: StandIns;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hdvkit-compute-library-'));
    standIns = openStandIns();
  });

  afterAll(() => {
    standIns?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What is said of a library by each kind of function: one that returns, one that waits, and the class on top. */
  async function saidOf(path: string): Promise<readonly unknown[]> {
    const core = createNativeComputeCore({ path, system: standIns.libraries.system });
    const caught = (error: unknown): unknown => error;
    return [
      await Promise.resolve()
        .then(() => core.HcsCreateOperation(null, null))
        .catch(caught),
      await core.HcsOpenComputeSystem('vm', GENERIC_ALL).catch(caught),
      await ComputeSystem.create('vm', {}, { core }).catch(caught),
    ];
  }

  test('that is missing is said to be, with what brings it, by every call', async () => {
    const path = join(folder, 'computecore.dll');
    for (const error of await saidOf(path)) {
      expect(error).toMatchObject({ name: 'NativeLibraryError', path, problem: 'missing' });
      expect((error as Error).message).toContain('enable the Windows feature Hyper-V');
    }
  });

  test('that has 32 bits is said to, by every call', async () => {
    const path = join(folder, 'computecore-32.dll');
    writeFileSync(path, headOf32Bits());
    for (const error of await saidOf(path)) {
      expect(error).toMatchObject({ name: 'NativeLibraryError', path, problem: 'architecture' });
      expect((error as Error).message).toContain('it is a 32-bit library for ia32');
    }
  });

  test('that lacks exports fails the calls that need them, by their names', async () => {
    // Any library that loads and has other functions.
    const path = standIns.libraries.computestorage;
    const functions = ['HcsCreateOperation', 'HcsOpenComputeSystem', 'HcsCreateOperation'];
    for (const [index, error] of (await saidOf(path)).entries()) {
      expect(error).toMatchObject({
        name: 'NotSupportedError',
        function: functions[index],
        since: 'Windows 10 1809 or Windows Server 2019',
      });
    }
  });
});
