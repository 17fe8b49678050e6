import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StoredReport } from '../../bench/report.ts';
import { Workplace } from '../cli/run-cli.ts';

test('hdvkit bench guest asks every kind of device in one guest', async () => {
  using place = new Workplace();
  const file = join(place.path, 'guest.json');
  const args = ['bench', 'guest', '--rounds', '1', '--boots', '1', '--json', file];
  const { code, stderr } = await place.run(args);
  expect(code, stderr).toBe(0);
  const report = JSON.parse(readFileSync(file, 'utf8')) as StoredReport;
  expect(report.machine.qemu).toMatch(/^QEMU \d+\./);
  const names = report.measurements.map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining([
      'read, p50: hdvkit to C',
      'mapped page read: hdvkit',
      'posted write: hdvkit',
      'doorbell write to interrupt message, p50: hdvkit',
    ]),
  );
  expect(report.measurements.every(({ samples }) => samples.every((one) => one > 0))).toBe(true);
  expect(place.leftovers).toEqual([]);
});
