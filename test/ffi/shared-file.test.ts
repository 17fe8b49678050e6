import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { closeFd } from '../../src/ffi/descriptors.ts';
import { shareByFile } from '../../src/ffi/shared-file.ts';
import { fileStretches } from '../../src/ffi/touched-pages.ts';

const MIB = 1024 * 1024;

/** Another process, which has the file as its descriptor 3, writes to it. */
function writeElsewhere(fd: number, text: string, offset: number): void {
  const program = `require('node:fs').writeSync(3, ${JSON.stringify(text)}, ${offset})`;
  execFileSync(process.execPath, ['-e', program], { stdio: ['ignore', 'inherit', 'inherit', fd] });
}

test('memory in a file is the same bytes to every thread and another process', () => {
  const memory = new SharedArrayBuffer(64 * MIB, { maxByteLength: 64 * MIB });
  const fd = shareByFile(memory, 'test');
  try {
    const bytes = Buffer.from(memory);
    writeElsewhere(fd, 'from elsewhere', 40 * MIB + 5);
    expect(bytes.toString('latin1', 40 * MIB + 5, 40 * MIB + 19)).toBe('from elsewhere');
    // No page of this process was touched there but the one that was looked at.
    writeElsewhere(fd, '!', 50 * MIB);
    const stretches = fileStretches(fd, memory.byteLength);
    for (const at of [40 * MIB, 50 * MIB]) {
      expect(stretches.some(({ start, end }) => start <= at && at < end)).toBe(true);
    }
    const total = stretches.reduce((sum, { start, end }) => sum + end - start, 0);
    expect(total).toBeLessThanOrEqual(4 * MIB);
  } finally {
    closeFd(fd);
  }
});

test('where too many descriptors are in use none is taken, and the memory stays as it is', () => {
  const memory = new SharedArrayBuffer(8192, { maxByteLength: 8192 });
  const before = readdirSync('/proc/self/fd').length;
  expect(() => shareByFile(memory, 'test', 3)).toThrow('files are open');
  expect(readdirSync('/proc/self/fd')).toHaveLength(before);
  new Uint8Array(memory)[5] = 1;
});

test('memory that is part of the heap is refused', () => {
  expect(() => shareByFile(new SharedArrayBuffer(8192), 'test')).toThrow(RangeError);
});
