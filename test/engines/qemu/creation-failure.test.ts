import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { creationFailure } from '../../../src/engines/qemu/creation-failure.ts';
import type { MachinePlan } from '../../../src/engines/qemu/machine-plan.ts';

const AT = '$.VirtualMachine.Chipset.LinuxKernelDirect';
const plan = {
  kernel: '/vm/kernel',
  initrd: '/vm/initrd',
  disks: [],
  hosting: { isPinned: true },
} as unknown as MachinePlan;

const failure = (words: string) => creationFailure(new Error(`QEMU did not start: ${words}`), plan);

test.each([
  'qemu: linux kernel too old to load a ram disk',
  'qemu: invalid kernel header',
  "qemu: could not load kernel '/vm/kernel': No such file or directory",
  'Error loading uncompressed kernel without PVH ELF Note',
])('what QEMU says of a kernel is said of the field that names it: %s', (words) => {
  const { function: name, code, path, reason } = failure(words);
  expect([name, code, path]).toEqual([
    'HcsCreateComputeSystem',
    'ERROR_INVALID_DATA',
    `${AT}.KernelFilePath`,
  ]);
  expect(reason).toContain('is "/vm/kernel", which is no kernel that QEMU boots: use a bzImage');
  expect(reason).toContain(words);
});

test('what QEMU says of an initrd is said of the field that names it', () => {
  const { code, path, reason } = failure(
    'qemu: initrd is too large, cannot support.(max: 1000, need 2000)',
  );
  expect([code, path]).toEqual(['ERROR_INVALID_DATA', `${AT}.InitRdPath`]);
  expect(reason).toContain('use a smaller one, or more memory');
});

test('a command line that Linux does not take is the fault of the document', () => {
  let caught: unknown;
  try {
    // Any number of arguments, each of which is short enough.
    spawn('/bin/true', new Array(200).fill('x'.repeat(100_000)));
  } catch (error) {
    caught = error;
  }
  const { code, path, reason } = creationFailure(caught, plan);
  expect([code, path]).toEqual(['E_INVALIDARG', '$.VirtualMachine']);
  expect(reason).toContain('leave disks, shares or ports out');
});

test('what QEMU says of memory that it cannot lock is said of the field that wants it locked', () => {
  const { code, path, reason } = failure('qemu: mlockall: Cannot allocate memory');
  expect([code, path]).toEqual([
    'E_ACCESSDENIED',
    '$.VirtualMachine.ComputeTopology.Memory.PinBackingPages',
  ]);
  expect(reason).toContain('mlockall: Cannot allocate memory');
});

test('other words stay as they are', () => {
  const { code, path, reason } = failure('no slot');
  expect([code, path, reason]).toEqual(['E_FAIL', undefined, 'QEMU did not start: no slot']);
});
