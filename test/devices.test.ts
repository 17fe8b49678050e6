import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const samples = readdirSync(join(root, 'sample-devices')).filter((name) => name.endsWith('.ts'));
const devices = readdirSync(join(root, 'devices'), { withFileTypes: true })
  .filter(
    (entry) => entry.isDirectory() && existsSync(join(root, 'devices', entry.name, 'index.ts')),
  )
  .map((entry) => entry.name);

const subjects = [
  ...samples.map((name) => ({
    name: `sample-devices/${name}`,
    tested: `test/sample-devices/${name.replace('.ts', '.test.ts')}`,
  })),
  ...devices.map((name) => ({ name: `devices/${name}`, tested: `test/devices/${name}.test.ts` })),
];

describe.each(subjects)('$name', ({ name, tested }) => {
  test('has a test file with a fuzz line', () => {
    expect(existsSync(join(root, tested)), tested).toBe(true);
    expect(readFileSync(join(root, tested), 'utf8')).toMatch(/\bfuzz\(/);
  });

  test('is named in the README', () => {
    expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain(name);
  });
});

describe.each(devices)('devices/%s', (name) => {
  test('explains itself in a README of its own', () => {
    expect(readFileSync(join(root, 'devices', name, 'README.md'), 'utf8')).toMatch(/hdvkit run/);
  });
});
