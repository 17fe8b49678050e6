import { platform } from 'node:os';
import koffi from 'koffi';
import { expect, test } from 'vitest';

const [library, name] =
  platform() === 'win32' ? ['kernel32.dll', 'GetCurrentProcessId'] : ['libc.so.6', 'getpid'];

test('the koffi of this system calls a function of the system', () => {
  const getProcessId = koffi.load(library).func(`uint32_t ${name}()`);
  expect(getProcessId()).toBe(process.pid);
});
