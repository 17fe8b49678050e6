import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import {
  describeFailedTests,
  failedTests,
  retriedTests,
  skippedTests,
  type VitestReport,
} from './failed-tests.ts';

const report = (testResults: VitestReport['testResults']): VitestReport => ({
  success: false,
  numPassedTests: 1,
  numFailedTests: 1,
  numFailedTestSuites: 1,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults,
});

test('failed tests are named by file and title, and files that were not loaded by file', () => {
  const failed = failedTests(
    report([
      {
        name: '/root/test/a.test.ts',
        status: 'failed',
        message: '',
        assertionResults: [
          { fullName: 'adds', status: 'passed', failureMessages: [] },
          { fullName: 'divides', status: 'failed', failureMessages: ['expected 1 to be 2'] },
        ],
      },
      {
        name: '/root/test/b.test.ts',
        status: 'failed',
        message: 'no such module',
        assertionResults: [],
      },
    ]),
    '/root/',
  );
  expect(describeFailedTests(failed)).toBe(
    '✗ test/a.test.ts › divides\n    expected 1 to be 2\n✗ test/b.test.ts\n    no such module\n',
  );
});

/** What Vitest itself reports of a file, whose tests are tried twice. */
function reportOf(source: string): { folder: string; report: VitestReport } {
  const folder = mkdtempSync(join(tmpdir(), 'hdvkit-vitest-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'a.test.ts'), source);
  const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
  const json = join(folder, 'report.json');
  const options = ['--globals', '--retry=1', '--reporter=json', `--outputFile.json=${json}`];
  const args = [vitest, 'run', '--root', folder, ...options];
  spawnSync(process.execPath, args, { cwd: folder });
  return { folder, report: JSON.parse(readFileSync(json, 'utf8')) as VitestReport };
}

test('of a real run are told what failed, what passed at its second attempt, and what did not run', () => {
  const { folder, report } = reportOf(`
    let added = 0;
    let ended = 0;
    test('adds', () => {});
    test('waits', () => { expect(++added).toBe(2); });
    describe('ends', () => {
      afterEach(() => { expect(++ended).toBe(2); });
      test('well', () => {});
    });
    test('divides', () => { throw new Error('no'); });
    test.fails('fails as it must', () => { throw new Error('yes'); });
    test.skip('rests', () => {});
  `);
  const root = `${folder}/`;
  expect(failedTests(report, root)).toEqual([
    { name: 'a.test.ts › divides', text: expect.stringMatching(/^Error: no\n/) },
  ]);
  const once = expect.stringMatching(/^AssertionError: expected 1 to be 2 .*\n/);
  expect(retriedTests(report, root)).toEqual([
    { name: 'a.test.ts › waits', text: once },
    { name: 'a.test.ts › ends well', text: once },
  ]);
  expect(skippedTests(report, root)).toEqual([{ name: 'a.test.ts › rests', text: '' }]);
});

test('of very many failures, and of very long ones, the beginning is told', () => {
  const failed = Array.from({ length: 23 }, (_, index) => ({
    name: `t${index}`,
    text: 'line\n'.repeat(40),
  }));
  const lines = describeFailedTests(failed).split('\n');
  expect(lines.filter((line) => line.startsWith('✗'))).toHaveLength(20);
  expect(lines.filter((line) => line === '    line')).toHaveLength(20 * 25);
  expect(lines.at(-2)).toBe('and 3 more');
});
