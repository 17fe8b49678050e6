import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PeFormatError, parsePeFile, readPeFile } from '../../../src/cli/windows/pe-file.ts';
import { hasMingw, MINGW_GCC } from '../../windows/mingw.ts';

let folder: string;

/** Compiles a DLL for Windows x64. @returns its path */
function compile(name: string, source: string, resource?: string): string {
  const [c, dll] = [join(folder, `${name}.c`), join(folder, `${name}.dll`)];
  writeFileSync(c, source);
  const inputs = [c];
  if (resource !== undefined) {
    const [rc, object] = [join(folder, `${name}.rc`), join(folder, `${name}.res.o`)];
    writeFileSync(rc, resource);
    run('x86_64-w64-mingw32-windres', rc, object);
    inputs.push(object);
  }
  run(MINGW_GCC, '-shared', '-o', dll, ...inputs);
  return dll;
}

function run(command: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
}

const VERSION = `
1 VERSIONINFO
FILEVERSION 10,0,22621,2506
PRODUCTVERSION 1,2,3,4
BEGIN
  BLOCK "StringFileInfo"
  BEGIN
    BLOCK "040904B0"
    BEGIN
      VALUE "FileDescription", "Test"
    END
  END
END
`;

describe.runIf(hasMingw())('a library for Windows', () => {
  let dll: string;
  let plain: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hdvpe-'));
    const exported = '__declspec(dllexport) int';
    dll = compile(
      'versioned',
      `${exported} HcsSecond(void) { return 2; } ${exported} HcsFirst(void) { return 1; } int hidden(void) { return 0; }`,
      VERSION,
    );
    plain = compile('plain', 'int DllMain(void *m, int r, void *x) { return 1; }');
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('tells its architecture, its version and what it exports', () => {
    expect(readPeFile(dll)).toEqual({
      architecture: 'x64',
      fileVersion: '10.0.22621.2506',
      exports: ['HcsFirst', 'HcsSecond'],
    });
  });

  test('may have no version', () => {
    const { fileVersion, architecture } = readPeFile(plain);
    expect(fileVersion).toBeUndefined();
    expect(architecture).toBe('x64');
  });

  test.each([
    [0x014c, 'ia32'],
    [0xaa64, 'arm64'],
    [0x1234, 'machine 0x1234'],
  ])('is for another processor with the machine 0x%s', (machine, architecture) => {
    const bytes = readFileSync(dll);
    bytes.writeUInt16LE(machine, bytes.readUInt32LE(0x3c) + 4);
    expect(parsePeFile(bytes, 'x.dll').architecture).toBe(architecture);
  });

  test('that is broken or cut off is refused by name, whatever is wrong with it', () => {
    const whole = readFileSync(dll);
    const sections = whole.readUInt32LE(0x3c) + 24 + 240;
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: whole.length }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: sections + 400 }), fc.integer({ max: 255 }))),
        (length, damage) => {
          const bytes = Buffer.from(whole.subarray(0, length));
          for (const [at, value] of damage) if (at < length) bytes[at] = value;
          try {
            parsePeFile(bytes, 'x.dll');
          } catch (error) {
            expect(error).toBeInstanceOf(PeFormatError);
            expect((error as Error).message).toMatch(/^Cannot read x\.dll as a Windows library: /);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

test.each([
  ['nothing', ''],
  ['text', 'This is not a library, but long enough to hold the offset of a header at byte 0x3c.'],
  ['a DOS program', `MZ${'\0'.repeat(200)}`],
])('%s is no library', (_what, text) => {
  expect(() => parsePeFile(Buffer.from(text, 'latin1'), 'x.dll')).toThrow(PeFormatError);
});
