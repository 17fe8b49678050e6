import { openSync, rmSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createFileSection, openFileSection } from '../../src/device-host/memory-sections.ts';
import { closeFd, createEventFd, createMemoryFile } from '../../src/ffi/descriptors.ts';
import { TemporaryFolder } from '../vfio-user/pair.ts';

test('a section is memory that whoever opens it by its handle has, too', () => {
  const section = createFileSection(3 * 4096)!;
  const part = openFileSection(section.handle, 4096, 2 * 4096)!;
  expect(part.bytes).toHaveLength(8192);
  section.bytes.write('from the owner', 4096);
  expect(part.bytes.toString('latin1', 0, 14)).toBe('from the owner');
  part.bytes.write('back', 8188);
  expect(section.bytes.toString('latin1', 3 * 4096 - 4)).toBe('back');
  // What is open stays open, and what is over is harmless.
  const { bytes } = section;
  section[Symbol.dispose]();
  section[Symbol.dispose]();
  expect(bytes[4096]).toBe(0);
  expect(part.bytes.toString('latin1', 8188)).toBe('back');
  part[Symbol.dispose]();
  expect(part.bytes[8188]).toBe(0);
});

test('what is no file, too short, or not to be written is no section', () => {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file('f'), Buffer.alloc(4096));
  const readOnly = openSync(folder.file('f'), 'r');
  const [event, short] = [createEventFd(), createMemoryFile('memory-sections-test', 4096)];
  expect(openFileSection(BigInt(readOnly), 0, 4096)).toBeUndefined();
  expect(openFileSection(BigInt(event), 0, 4096)).toBeUndefined();
  expect(openFileSection(BigInt(short), 4096, 4096)).toBeUndefined();
  expect(openFileSection(BigInt(short), 0, 2 ** 33)).toBeUndefined();
  for (const fd of [readOnly, event, short]) closeFd(fd);
  for (const handle of [BigInt(short), -1n, 2n ** 40n]) {
    expect(openFileSection(handle, 0, 4096)).toBeUndefined();
  }
  rmSync(folder.file('f'));
});
