import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

test('keeps the heap as it is over ten million accesses', { timeout: 120_000 }, () => {
  const program = fileURLToPath(new URL('./heap-program.ts', import.meta.url));
  const child = spawnSync(
    process.execPath,
    ['--expose-gc', '--import', 'tsx', '--conditions=hdvkit-source', program],
    { encoding: 'utf8' },
  );
  expect(child.stderr).toBe('');
  const { accesses, scavenges, grownBytes } = JSON.parse(child.stdout) as Record<string, number>;
  expect(accesses).toBe(10_000_000);
  // One object of 16 bytes per access would be ten young generations.
  expect(scavenges).toBeLessThan(3);
  expect(grownBytes).toBeLessThan(100_000);
});
