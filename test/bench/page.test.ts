import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { judge } from '../../bench/page/targets.ts';
import type { Measurement, StoredReport } from '../../bench/report.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

function report(
  measurements: readonly Measurement[],
  more: Partial<StoredReport> = {},
): StoredReport {
  return {
    title: 'How long is a piece of string?',
    measurements,
    machine: { processor: 'Abacus × 2', node: 'v20.19.0', compiler: 'gcc 12 & <more>' },
    date: '2026-11-30T12:00:00.000Z',
    ...more,
  };
}

const vfioUser = report([
  { name: 'read, p50: hdvkit', unit: 'µs', samples: [8, 9, 10] },
  { name: 'read, p50: C', unit: 'µs', samples: [9, 9, 9] },
  { name: 'read, p50: hdvkit to C', unit: '×', samples: [0.889, 1, 1.111] },
]);
const dma = report(
  [64, 1024, 4096].flatMap((x) =>
    ['memcpy', 'aperture'].map((series) => ({
      name: `${series}, ${x}`,
      unit: 'GB/s',
      samples: [x / 100, x / 50],
      series,
      x,
      xLabel: `${x} bytes`,
    })),
  ),
  { x: 'block size' },
);

describe('the page of benchmarks', () => {
  let folder: string;
  let html: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hdvkit-page-'));
    const results = join(folder, 'results');
    mkdirSync(results);
    writeFileSync(join(results, 'vfio-user.json'), JSON.stringify(vfioUser));
    writeFileSync(join(results, 'dma.json'), JSON.stringify(dma));
    const output = join(folder, 'docs/page.html');
    await run(
      process.execPath,
      [
        ...['--import', 'tsx', '--conditions=hdvkit-source', 'bench/page.ts'],
        ...['--results', results, '--output', output],
      ],
      { cwd: root },
    );
    html = readFileSync(output, 'utf8');
  }, 60_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('has a chart for each unit of each question, and needs nothing else to be read', () => {
    expect(html.match(/<svg/g)).toHaveLength(3);
    expect(html).not.toMatch(/<script|<link|<img|src=|@import|url\((?!#)/);
    expect(html).toContain('How long is a piece of string?');
    expect(html).toContain('GB/s by block size');
    for (const text of ['read, p50: hdvkit', 'memcpy', '1024 bytes']) {
      expect(html.slice(html.indexOf('<svg'))).toContain(text);
    }
  });

  test('says of each figure its median, its spread and the machine', () => {
    expect(html).toContain('<td class="number">9.00 µs<td class="number">8.00 to 10.0');
    expect(html).toContain(
      'processor Abacus × 2; node v20.19.0; compiler gcc 12 &amp; &lt;more&gt;',
    );
    expect(html).toContain('measured on 2026-11-30');
  });

  test('says which targets are met, and which were not measured', () => {
    expect(html).toMatch(/against the smallest server in C<\/a>.*≤ 1\.15 ×.*>1 ×.*class="met">met/);
    expect(html).toContain('no result of npm run bench slot');
    expect(html).toContain('needs a server made with libvfio-user');
  });
});

describe('a target', () => {
  const target = {
    question: 'How long?',
    bench: 'string',
    measurements: /^long/,
    limit: 2,
    side: 'below',
  } as const;
  const judged = (samples: readonly number[][], side: 'below' | 'above' = 'below') =>
    judge(
      new Map([
        [
          'string',
          report(samples.map((each, i) => ({ name: `long ${i}`, unit: 'm', samples: each }))),
        ],
      ]),
      [{ ...target, side }],
    )[0];

  test('is met by the median, not by the best round', () => {
    expect(judged([[1, 2, 9]])).toMatchObject({ value: 2, met: true });
    expect(judged([[1, 2.01, 2.02]])).toMatchObject({ value: 2.01, met: false });
  });

  test('is judged by the worst of its measurements', () => {
    expect(judged([[1], [3], [2]])).toMatchObject({ value: 3, met: false });
    expect(judged([[1], [3], [2]], 'above')).toMatchObject({ value: 1, met: false });
    expect(judged([[2], [3]], 'above')).toMatchObject({ value: 2, met: true });
  });

  test('is open where nothing was measured', () => {
    expect(judged([])).toMatchObject({ value: undefined, met: undefined });
  });
});
