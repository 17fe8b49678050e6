import { expect, test } from 'vitest';
import { imageFailure } from '../../../src/engines/qemu/image-file.ts';
import { QmpError } from '../../../src/engines/qemu/qmp.ts';
import { RootPorts } from '../../../src/engines/qemu/root-ports.ts';

test('what QEMU says of a file is told by its code, with what to do', () => {
  const failure = (words: string) =>
    imageFailure('$.Path', '/a.vhdx', new QmpError('blockdev-add', 'GenericError', words));
  expect(failure('Failed to get "write" lock').code).toBe('ERROR_SHARING_VIOLATION');
  expect(failure('Could not open: Permission denied').code).toBe('E_ACCESSDENIED');
  expect(failure('no such magic').code).toBe('ERROR_INVALID_DATA');
  expect(failure('no such magic').message).toContain('$.Path is "/a.vhdx": QEMU cannot open it');
});

test('a machine without a slot for it is not the fault of a file', () => {
  const ports = new RootPorts();
  const take = (): unknown => {
    for (let i = 0; ; i++) {
      try {
        ports.take(`pmem${i}`);
      } catch (error) {
        return error;
      }
    }
  };
  const failure = imageFailure('$.Settings.HostPath', '/a', take());
  expect(failure.code).toBe('ERROR_NOT_ENOUGH_QUOTA');
  expect(failure.message).toContain('all are taken: remove a device first');
});
