import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { StoredReport } from '../../bench/report.ts';
import { builtPackage } from '../built-package.ts';
import { Workplace } from '../cli/run-cli.ts';

/** Runs a benchmark as a user does. @returns what it stored */
async function bench(...args: readonly string[]): Promise<StoredReport> {
  using place = new Workplace();
  const file = join(place.path, 'report.json');
  const { code, stdout, stderr } = await place.run(['bench', ...args, '--json', file]);
  expect(code, stderr).toBe(0);
  const report = JSON.parse(readFileSync(file, 'utf8')) as StoredReport;
  expect(stdout).toContain(report.title);
  expect(place.leftovers).toEqual([]);
  return report;
}

describe.concurrent('hdvkit bench', () => {
  test('measures DMA by block size, with a ratio to memcpy for each way', async () => {
    const { x, measurements } = await bench('dma', '--rounds', '1');
    expect(x).toBe('block size');
    const sizes = measurements.filter(({ series }) => series === 'memcpy').map((one) => one.x);
    expect(sizes[0]).toBe(64);
    expect(sizes.at(-1)).toBe(2 ** 20);
    const names = measurements.map(({ name }) => name);
    expect(names).toContain('aperture, simulated, from the guest to memcpy, 4 KiB');
    if (process.platform === 'linux') {
      expect(names).toContain('aperture, vfio-user, to the guest to memcpy, 1 MiB');
    }
    expect(measurements.every(({ samples }) => samples.length === 1 && samples[0]! > 0)).toBe(true);
  });

  test('measures what a further device takes', async () => {
    const { measurements } = await bench('attach', '--rounds', '1', '--devices', '2');
    const ways = ['on this thread', 'one worker for all', 'a worker each'];
    // The device as JavaScript is in a build only.
    if (builtPackage() !== undefined) ways.push('a worker each, compiled');
    expect(measurements.map(({ name, unit }) => `${name}, ${unit}`)).toEqual(
      ways.flatMap((way) => [
        `${way}: first device, ms`,
        `${way}: further device, ms`,
        `${way}: memory of a further device, MiB`,
      ]),
    );
  });
});
