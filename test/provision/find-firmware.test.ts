import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findFirmware } from '../../src/provision/find-firmware.ts';
import { ProvisionError } from '../../src/provision/provision-error.ts';

let folder: string;
let code: string;
let variables: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvf-'));
  code = join(folder, 'code.fd');
  variables = join(folder, 'variables.qcow2');
  writeFileSync(code, '');
  writeFileSync(variables, '');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

type Fields = Readonly<Record<string, unknown>>;

function description(changes: Fields = {}): Fields {
  return {
    'interface-types': ['uefi'],
    mapping: {
      device: 'flash',
      executable: { filename: code, format: 'raw' },
      'nvram-template': { filename: variables, format: 'qcow2' },
    },
    targets: [{ architecture: 'x86_64', machines: ['pc-i440fx-*', 'pc-q35-*'] }],
    features: ['acpi-s4'],
    ...changes,
  };
}

function describe(name: string, fields: Fields): void {
  writeFileSync(join(folder, name), JSON.stringify(fields));
}

/** Nothing in the cache, and no other folder than the test's. */
function find() {
  return findFirmware({ folders: ['/nowhere', folder], cache: join(folder, 'cache') });
}

test('takes the first description that a plain q35 machine can use', () => {
  describe('10.json', description({ features: ['requires-smm', 'secure-boot'] }));
  describe('20.json', description({ features: ['enrolled-keys'] }));
  describe(
    '30.json',
    description({ targets: [{ architecture: 'aarch64', machines: ['virt-*'] }] }),
  );
  describe('40.json', description({ 'interface-types': ['bios'] }));
  describe('50.json', description({ mapping: { device: 'memory' } }));
  describe(
    '60.json',
    description({ mapping: { device: 'flash', executable: { filename: code } } }),
  );
  writeFileSync(join(folder, '70.json'), 'no JSON');
  describe('80.json', description());
  expect(find()).toEqual({
    code: { path: code, format: 'raw' },
    variables: { path: variables, format: 'qcow2' },
    source: 'installed',
  });
});

test('does not take images that are gone', () => {
  describe('10.json', description());
  rmSync(variables);
  expect(find).toThrow(ProvisionError);
});

test('falls back to what was provisioned, whose paths lie in its folder', () => {
  const root = join(folder, 'cache/firmware-1/root');
  mkdirSync(join(root, 'usr/share/qemu/firmware'), { recursive: true });
  for (const name of ['code.fd', 'variables.fd']) writeFileSync(join(root, name), '');
  writeFileSync(join(folder, 'cache/firmware-1/version'), '1');
  const mapping = {
    device: 'flash',
    executable: { filename: '/code.fd', format: 'raw' },
    'nvram-template': { filename: '/variables.fd', format: 'raw' },
  };
  const text = JSON.stringify(description({ mapping }));
  writeFileSync(join(root, 'usr/share/qemu/firmware/60.json'), text);
  expect(find()).toMatchObject({
    code: { path: join(root, 'code.fd') },
    variables: { path: join(root, 'variables.fd') },
    source: 'provisioned',
  });
});

test('names the remedy where there is none', () => {
  expect(find).toThrow(/Cannot find a UEFI firmware/);
});
