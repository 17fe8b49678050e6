import { describe, expect, test } from 'vitest';
import type { Check } from '../../../src/cli/check.ts';
import { windowsChecks } from '../../../src/cli/windows/checks.ts';
import type { WindowsFacts } from '../../../src/cli/windows/facts.ts';
import type { PeFile } from '../../../src/cli/windows/pe-file.ts';
import { COMPUTE_CORE_ABI } from '../../../src/hcs/native/compute-core-abi.ts';
import { COMPUTE_STORAGE_ABI } from '../../../src/hcs/native/compute-storage-abi.ts';
import { VM_DEVICE_HOST_ABI } from '../../../src/hdv/native/vm-device-host-abi.ts';

const library = (abi: { readonly functions: object }, changes: Partial<PeFile> = {}): PeFile => ({
  architecture: 'x64',
  fileVersion: '10.0.26100.1',
  exports: Object.keys(abi.functions),
  ...changes,
});

const computecore = (file: PeFile | Error | undefined): Partial<WindowsFacts> => ({
  libraries: [{ name: 'computecore.dll', path: 'C:\\Windows\\System32\\computecore.dll', file }],
});

const GOOD: WindowsFacts = {
  architecture: 'x64',
  version: '10.0.26100',
  system: { features: { 'Microsoft-Hyper-V': 'enabled' }, hypervisorPresent: true },
  service: 'running',
  membership: { elevated: false, hypervAdministrator: true },
  libraries: [
    ...(computecore(library(COMPUTE_CORE_ABI)).libraries ?? []),
    { name: 'computestorage.dll', path: 'b', file: library(COMPUTE_STORAGE_ABI) },
    { name: 'vmdevicehost.dll', path: 'c', file: library(VM_DEVICE_HOST_ABI) },
  ],
};

const checkOf = (name: string, changes: Partial<WindowsFacts>): Check => {
  const found = windowsChecks({ ...GOOD, ...changes }).find((check) => check.name === name);
  if (found === undefined) throw new Error(`no check ${name}`);
  return found;
};

describe('hdvkit doctor on Windows', () => {
  test('finds nothing to mend on a machine that has everything', () => {
    const checks = windowsChecks(GOOD);
    expect(checks.map(({ state }) => state)).toEqual(Array(7).fill('ok'));
    expect(checks.every(({ neededBy }) => neededBy === 'windows')).toBe(true);
    expect(checks.at(-1)?.detail).toBe('10.0.26100.1, 18 of 18 functions');
  });

  test.each<[string, string, Partial<WindowsFacts>, RegExp, RegExp]>([
    ['an old Windows', 'windows', { version: '10.0.17134' }, /17134/, /1809/],
    ['Node for ARM', 'windows', { architecture: 'arm64' }, /arm64/, /Node for x64/],
    [
      'a disabled feature',
      'hyperv',
      { system: { features: { 'Microsoft-Hyper-V': 'disabled' }, hypervisorPresent: false } },
      /Microsoft-Hyper-V disabled/,
      /Enable-WindowsOptionalFeature/,
    ],
    [
      'a Windows without the feature',
      'hyperv',
      { system: { features: {}, hypervisorPresent: undefined } },
      /does not know/,
      /Enable-WindowsOptionalFeature/,
    ],
    [
      'a feature without its hypervisor',
      'hyperv',
      { system: { features: { VirtualMachinePlatform: 'enabled' }, hypervisorPresent: false } },
      /no hypervisor runs/,
      /firmware/,
    ],
    ['no service', 'vmcompute', { service: 'absent' }, /no vmcompute/, /Enable-Windows/],
    [
      'a user without rights',
      'membership',
      { membership: { elevated: false, hypervAdministrator: false } },
      /S-1-5-32-578/,
      /Add-LocalGroupMember -SID S-1-5-32-578/,
    ],
    ['no library', 'computecore.dll', computecore(undefined), /there is no C:/, /Enable-Windows/],
    [
      'a broken library',
      'computecore.dll',
      computecore(new Error('Cannot read x')),
      /Cannot read x/,
      /sfc/,
    ],
    [
      'a 32-bit library',
      'computecore.dll',
      computecore(library(COMPUTE_CORE_ABI, { architecture: 'ia32' })),
      /is for ia32, and this Node for x64/,
      /install Node for ia32/,
    ],
    [
      'a library of another thing',
      'computecore.dll',
      computecore(library(COMPUTE_CORE_ABI, { exports: ['Other'] })),
      /0 of \d+ functions/,
      /they come with/,
    ],
  ])('says what is wrong with %s, and how to mend it', (_what, name, changes, detail, remedy) => {
    const check = checkOf(name, changes);
    expect(check.state).toBe('missing');
    expect(check.detail).toMatch(detail);
    expect(check.remedy).toMatch(remedy);
  });

  test('names the functions that an older Windows lacks, and does without them', () => {
    const exports = Object.keys(COMPUTE_CORE_ABI.functions).filter(
      (name) => name !== 'HcsGetProcessorCompatibilityFromSavedState',
    );
    const check = checkOf('computecore.dll', computecore(library(COMPUTE_CORE_ABI, { exports })));
    expect(check.state).toBe('note');
    expect(check.detail).toMatch(/not: HcsGetProcessorCompatibilityFromSavedState$/);
    expect(check.remedy).toMatch(/^they come with .*; only calls of them fail$/);
  });

  test.each<[string, string, Partial<WindowsFacts>]>([
    ['a service that is stopped', 'vmcompute', { service: 'stopped' }],
    ['a service that cannot be asked for', 'vmcompute', { service: undefined }],
    ['features that cannot be asked for', 'hyperv', { system: undefined }],
    ['groups that cannot be asked for', 'membership', { membership: undefined }],
  ])('only remarks on %s', (_what, name, changes) => {
    expect(checkOf(name, changes).state).toBe('note');
  });

  test('takes an administrator for one who may', () => {
    const membership = { elevated: true, hypervAdministrator: false };
    expect(checkOf('membership', { membership })).toMatchObject({
      state: 'ok',
      detail: 'runs as administrator',
    });
  });
});
