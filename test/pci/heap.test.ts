import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

test.each([
  ['accesses', './heap-program.ts'],
  ['accesses that no function serves', './direct-heap-program.ts'],
])('allocates nothing over ten million %s', { timeout: 120_000 }, (_, file) => {
  const program = fileURLToPath(new URL(file, import.meta.url));
  const child = spawnSync(
    process.execPath,
    [
      '--expose-gc',
      '--min-semi-space-size=256',
      '--max-semi-space-size=256',
      '--import',
      'tsx',
      '--conditions=hdvkit-source',
      program,
    ],
    { encoding: 'utf8' },
  );
  expect(child.stderr).toBe('');
  const { accesses, grownBytes } = JSON.parse(child.stdout) as Record<string, number>;
  expect(accesses).toBe(10_000_000);
  // The smallest object has 16 bytes: one in a thousand accesses would make 160,000. What is left is the measuring.
  expect(grownBytes).toBeLessThan(100_000);
});
