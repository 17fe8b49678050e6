import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** Runs a program of this folder with few descriptors. @returns what it says, as JSON */
function run(name: string): unknown {
  const program = fileURLToPath(new URL(name, import.meta.url));
  const node = [process.execPath, '--import', 'tsx', '--conditions=hdvkit-source', program];
  const output = execFileSync('sh', ['-c', 'ulimit -n 200; exec "$@"', 'sh', ...node]);
  return JSON.parse(output.toString());
}

test('a device that cannot be plugged leaves no descriptor and no line, however far it came', () => {
  const { left, failures } = run('process-device-failures.ts') as {
    readonly left: Readonly<Record<string, number>>;
    readonly failures: readonly string[];
  };
  expect(failures).toEqual([
    expect.stringContaining('ENOENT'),
    expect.stringContaining('EMFILE'),
    expect.stringContaining('EMFILE'),
    expect.stringContaining('Cannot start a device worker beside 0 others'),
    expect.stringMatching(/the server is gone|ECONNRESET|EPIPE/),
    'The device worker ran out of heap',
  ]);
  expect(left).toEqual({ descriptors: 0, lines: 0 });
});

test('a device that answers slowly has one limit for all that enabling its vectors takes', () => {
  const { gone, vectors, enabled } = run('process-device-slow.ts') as {
    readonly gone: string;
    readonly vectors: number;
    readonly enabled: number;
  };
  expect(gone).toContain('none came in time');
  expect(enabled).toBeGreaterThan(0);
  expect(enabled).toBeLessThan(vectors);
});
