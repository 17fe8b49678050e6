import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CpioArchive } from '../../src/provision/cpio-archive.ts';

interface Entry {
  readonly path: string;
  readonly mode: number;
  readonly data: Buffer;
  readonly device: readonly [number, number];
}

/** Reads an archive by the letter of cpio(5), format newc. */
function unpack(archive: Buffer): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; ; ) {
    expect(at % 4).toBe(0);
    expect(archive.toString('latin1', at, at + 6)).toBe('070701');
    const number = (index: number): number =>
      Number.parseInt(archive.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
    const [mode, size, nameSize] = [number(1), number(6), number(11)];
    const name = archive.toString('utf8', at + 110, at + 110 + nameSize - 1);
    expect(archive[at + 110 + nameSize - 1]).toBe(0);
    const start = (at + 110 + nameSize + 3) & ~3;
    if (name === 'TRAILER!!!') return entries;
    const device = [number(9), number(10)] as const;
    entries.push({ path: name, mode, data: archive.subarray(start, start + size), device });
    at = (start + size + 3) & ~3;
  }
}

describe('a cpio archive', () => {
  test('has every folder once, before what is in it', () => {
    const archive = new CpioArchive()
      .file('usr/bin/a', 'x', 0o755)
      .file('usr/bin/b', 'yy')
      .symlink('usr/lib/c', '../bin/a')
      .toBuffer();
    expect(unpack(archive).map(({ path, mode }) => [path, mode.toString(8)])).toEqual([
      ['usr', '40755'],
      ['usr/bin', '40755'],
      ['usr/bin/a', '100755'],
      ['usr/bin/b', '100644'],
      ['usr/lib', '40755'],
      ['usr/lib/c', '120777'],
    ]);
  });

  test('has device nodes by number', () => {
    const [, console] = unpack(new CpioArchive().device('dev/console', 5, 1).toBuffer());
    expect(console).toMatchObject({ path: 'dev/console', mode: 0o020600, device: [5, 1] });
  });

  test('gives back every file as it went in', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(
          fc.tuple(fc.stringMatching(/^[a-z]{1,20}$/), fc.uint8Array({ maxLength: 50 })),
          {
            selector: ([name]) => name,
          },
        ),
        (files) => {
          const archive = new CpioArchive();
          for (const [name, data] of files) archive.file(name, data);
          const unpacked = unpack(archive.toBuffer());
          expect(unpacked.map(({ path, data }) => [path, [...data]])).toEqual(
            files.map(([name, data]) => [name, [...data]]),
          );
        },
      ),
    );
  });

  test('is a multiple of 512 bytes, so that another may follow', () => {
    expect(new CpioArchive().file('a', 'x').toBuffer().length % 512).toBe(0);
  });

  test('refuses an absolute path', () => {
    expect(() => new CpioArchive().file('/etc/passwd', '')).toThrow(
      'Cannot archive "/etc/passwd": paths are relative to the root',
    );
  });
});
