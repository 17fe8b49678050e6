import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { extractKernel } from '../../src/provision/kernel-image.ts';

const MARK = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);
/** Unpacks by leaving out the mark. */
const UNPACK = ['/bin/sh', ['-c', 'tail -c +7 "$2"', 'sh']] as const;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvx-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A bzImage with one sector of set-up code and this payload. */
function image(payload: Buffer): string {
  const head = Buffer.alloc(3 * 512);
  head[0x1f1] = 1;
  head.write('HdrS', 0x202);
  head.writeUInt16LE(0x20f, 0x206);
  head.writeUInt32LE(512, 0x248);
  head.writeUInt32LE(payload.length, 0x24c);
  writeFileSync(join(folder, 'vmlinuz'), Buffer.concat([head, payload, Buffer.from('more')]));
  return join(folder, 'vmlinuz');
}

describe('the kernel in its self-extracting image', () => {
  test('is taken out', async () => {
    const kernel = Buffer.from('\x7fELF the kernel proper', 'latin1');
    const length = Buffer.alloc(4);
    const target = join(folder, 'vmlinux');
    const file = image(Buffer.concat([MARK, kernel, length]));
    expect(await extractKernel(file, UNPACK, target)).toBe(true);
    expect(readFileSync(target).equals(kernel)).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['vmlinux', 'vmlinuz']);
  });

  test.each([
    ['packed in another way', () => image(Buffer.from('\x28\xb5\x2f\xfd zstd'))],
    [
      'that unpacks to something else',
      () => image(Buffer.concat([MARK, Buffer.from('no kernel')])),
    ],
    [
      'that is none',
      () => {
        writeFileSync(join(folder, 'vmlinuz'), Buffer.alloc(4096));
        return join(folder, 'vmlinuz');
      },
    ],
  ])('%s is left where it is', async (_what, make) => {
    const target = join(folder, 'vmlinux');
    expect(await extractKernel(make(), UNPACK, target)).toBe(false);
    expect(existsSync(target)).toBe(false);
    expect(readdirSync(folder)).toEqual(['vmlinuz']);
  });
});
