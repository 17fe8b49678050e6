import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { BENCHMARKS } from '../../src/cli/bench-catalog.ts';
import { Workplace } from '../cli/run-cli.ts';

test('hdvkit bench lists what can be measured', async () => {
  using place = new Workplace();
  const { code, stdout, stderr } = await place.run(['bench']);
  expect([code, stderr]).toEqual([0, '']);
  for (const { name, question } of BENCHMARKS) {
    expect(stdout).toContain(question);
    expect(existsSync(new URL(`../../bench/${name}.ts`, import.meta.url)), name).toBe(true);
  }
});

test('hdvkit bench names the benchmarks when there is none of that name', async () => {
  using place = new Workplace();
  const { code, stderr } = await place.run(['bench', 'speed']);
  expect(stderr).toContain('Cannot run benchmark speed: there is none of this name');
  expect(stderr).toMatch(/remedy: choose from vfio-user, dispatch/);
  expect(code).toBe(2);
});

describe.runIf(process.platform === 'linux').concurrent('without a C compiler', () => {
  const env = { PATH: '/nowhere' };

  test('what compares with C alone is left out, and said', async () => {
    using place = new Workplace();
    const { code, stdout, stderr } = await place.run(['bench', 'vfio-user', '--rounds', '1'], {
      env,
    });
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(
      'Without the server in C: Cannot compile vfio-user-peer.c: there is no C compiler in PATH; install one',
    );
    expect(stdout).toMatch(/read, p50: hdvkit +\S+ µs/);
    expect(stdout).not.toContain(' to C');
  });

  test('what cannot be measured at all says how to get one', async () => {
    using place = new Workplace();
    const { code, stdout, stderr } = await place.run(['bench', 'guest'], { env });
    expect(stderr).toContain('Cannot compile guest-access.c: there is no C compiler in PATH');
    expect(stderr).toContain('remedy: install one (apt-get install gcc libc6-dev)');
    expect([code, stdout]).toEqual([2, '']);
    expect(place.leftovers).toEqual([]);
  });
});
