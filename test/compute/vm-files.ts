import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { ComputeCore } from '../../src/hcs/compute-core.ts';
import { codeOf, errorOf } from './recording-engine.ts';

const VM = '0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c0a';

/** What the functions on files do on every host. @param core makes a service of that host */
export function vmFileTests(core: () => ComputeCore): void {
  const folder = mkdtempSync(join(tmpdir(), 'hdvkit-vm-files-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  let count = 0;
  const fresh = (): string => join(folder, `${count++}.file`);

  const creators = ['HcsCreateEmptyGuestStateFile', 'HcsCreateEmptyRuntimeStateFile'] as const;

  test.each(creators)('%s makes a file for its owner alone, once', async (name) => {
    const path = fresh();
    await core()[name](path);
    const before = readFileSync(path);
    expect(before.length).toBeGreaterThan(0);
    const error = await errorOf(() => core()[name](path));
    expect([error.function, error.code]).toEqual([name, 'ERROR_FILE_EXISTS']);
    expect(error.reason).toContain(path);
    expect(readFileSync(path)).toEqual(before);
  });

  test.each(creators)('%s leaves nothing where it makes no file', async (name) => {
    const before = readdirSync(folder);
    const taken = fresh();
    writeFileSync(taken, 'here');
    for (const [path, code] of [
      [join(folder, 'none', 'x.vmgs'), 'ERROR_PATH_NOT_FOUND'],
      [join(taken, 'x.vmgs'), 'ERROR_PATH_NOT_FOUND'],
      [folder, 'ERROR_FILE_EXISTS'],
      [taken, 'ERROR_FILE_EXISTS'],
      [join(folder, 'n'.repeat(300)), 'ERROR_FILENAME_EXCED_RANGE'],
      ['relative.vmgs', 'E_INVALIDARG'],
      ['', 'E_INVALIDARG'],
      [`${folder}/a\0b`, 'E_INVALIDARG'],
      [undefined, 'E_INVALIDARG'],
      [7, 'E_INVALIDARG'],
    ] as const) {
      expect([path, await codeOf(() => core()[name](path as string))]).toEqual([path, code]);
    }
    rmSync(taken);
    expect(readdirSync(folder)).toEqual(before);
  });

  test('tells what a saved machine needs of a processor from its runtime state only', async () => {
    const name = 'HcsGetProcessorCompatibilityFromSavedState';
    const other = fresh();
    writeFileSync(other, 'no machine');
    const cut = fresh();
    writeFileSync(cut, '');
    for (const [path, code] of [
      [other, 'ERROR_INVALID_DATA'],
      [cut, 'ERROR_INVALID_DATA'],
      [folder, 'ERROR_INVALID_DATA'],
      [fresh(), 'ERROR_FILE_NOT_FOUND'],
      [join(folder, 'none', 'x.vmrs'), 'ERROR_PATH_NOT_FOUND'],
      ['x.vmrs', 'E_INVALIDARG'],
    ] as const) {
      const error = await errorOf(() => core()[name](path));
      expect([path, error.function, error.code]).toEqual([path, name, code]);
    }
  });

  const accesses = ['HcsGrantVmAccess', 'HcsRevokeVmAccess'] as const;

  test.each(accesses)('%s names the file or the id that is not there', async (name) => {
    const path = fresh();
    writeFileSync(path, '');
    for (const [id, file, code] of [
      [VM, join(folder, 'none'), 'ERROR_FILE_NOT_FOUND'],
      [VM, join(folder, 'none', 'disk.vhdx'), 'ERROR_PATH_NOT_FOUND'],
      [VM, 'disk.vhdx', 'E_INVALIDARG'],
      ['', path, 'E_INVALIDARG'],
      ['a\nb', path, 'E_INVALIDARG'],
      ['x'.repeat(10_000), path, 'E_INVALIDARG'],
      ['the vm that is not there yet', path, 'S_OK'],
      [VM, path, 'S_OK'],
      [VM, folder, 'S_OK'],
    ] as const) {
      expect([id, file, await codeOf(() => core()[name](id, file))]).toEqual([id, file, code]);
    }
  });

  test.each(['HcsGrantVmGroupAccess', 'HcsRevokeVmGroupAccess'] as const)(
    '%s takes files and folders that are there',
    async (name) => {
      const path = fresh();
      writeFileSync(path, '');
      expect(await codeOf(() => core()[name](path))).toBe('S_OK');
      expect(await codeOf(() => core()[name](folder))).toBe('S_OK');
      expect(await codeOf(() => core()[name](fresh()))).toBe('ERROR_FILE_NOT_FOUND');
      expect(await codeOf(() => core()[name]('file'))).toBe('E_INVALIDARG');
    },
  );
}
