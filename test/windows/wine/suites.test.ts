import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { selectTests, windowsTests } from './suites.ts';
import { usesSystem } from './system-tests.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

describe('the tests for Windows', () => {
  const all = windowsTests(root, 'all');
  const system = windowsTests(root, 'system');

  test('have everything that calls the libraries of Windows, the contracts’ suites among it', () => {
    for (const name of ['conformance', 'restricted', 'compute-core', 'edu', 'vm-device-host']) {
      expect(system).toContain(`test/windows/${name}.test.ts`);
    }
    expect(system.filter((file) => file.startsWith('test/windows/'))).toEqual(
      all.filter((file) => file.startsWith('test/windows/')),
    );
  });

  test('have what loads libraries, starts threads or opens pipes, and leave the rest to all', () => {
    const used = ['ffi/native-callback', 'transport/device-worker', 'devices/serial-16550'];
    const pure = ['pci/msix', 'device/registers', 'hcs/hresult', 'testing/fuzz'];
    for (const name of used) expect(system).toContain(`test/${name}.test.ts`);
    for (const name of pure) expect(system).not.toContain(`test/${name}.test.ts`);
    for (const name of pure) expect(all).toContain(`test/${name}.test.ts`);
    expect(system.filter((file) => !all.includes(file))).toEqual([]);
  });

  test('exist, each once', () => {
    expect(all.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    expect(new Set(all).size).toBe(all.length);
  });

  test('are those whose path has one of the words', () => {
    expect(selectTests(all, ['pci/msi.', 'test/windows/edu'], root)).toEqual([
      'test/windows/edu.test.ts',
      'test/pci/msi.test.ts',
    ]);
    expect(selectTests(all, ['nothing-of-this-name'], root)).toEqual([]);
  });
});

describe('a test uses the system', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hdvkit-imports-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function uses(test: string, helper = ''): boolean {
    const file = join(folder, 'a.test.ts');
    writeFileSync(file, test);
    writeFileSync(join(folder, 'helper.ts'), helper);
    return usesSystem(file);
  }

  test.each<[string, string, string?]>([
    ['it imports a module that asks the system', `import { join } from 'node:path';`],
    ['what it imports does', `import { x } from './helper.ts';`, `import koffi from 'koffi';`],
    ['what it loads does', `await import('./helper.ts');`, `import net from 'node:net';`],
    ['what it hands on does', `export * from './helper.ts';`, `import 'node:worker_threads';`],
    ['it asks which system it is', `const here = process.platform;`],
  ])('if %s', (_why, test, helper) => {
    expect(uses(test, helper)).toBe(true);
  });

  test.each<[string, string, string?]>([
    ['if types are all it has of it', `import type { Stats } from 'node:fs';`],
    ['for the package', `import { plug } from 'hdvkit/testing';`],
    [
      'for what only computes',
      `import { x } from './helper.ts';`,
      `import { y } from './a.test.ts';`,
    ],
    ['for what another one asks', `import { format } from 'node:util';`, `import 'node:fs';`],
  ])('not %s', (_why, test, helper) => {
    expect(uses(test, helper)).toBe(false);
  });
});
