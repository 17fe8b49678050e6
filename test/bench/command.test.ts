import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
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
