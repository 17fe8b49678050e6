import { describe, expect, test } from 'vitest';
import { readReport } from './report.ts';

const passed = '{"state":"passed","title":"a","milliseconds":1}\n';
const failed = '{"state":"failed","title":"g › b","milliseconds":1,"failure":"no"}\n';
const skipped = '{"state":"skipped","title":"c","milliseconds":0}\n';
const end = '{"state":"end"}\n';
const fine = { code: 0, timedOut: false, output: '' };

describe('the report of a test file', () => {
  test('counts what passed, failed and was skipped', () => {
    expect(readReport(passed + failed + skipped + end, { ...fine, code: 1 })).toEqual({
      passed: 1,
      failed: 1,
      skipped: 1,
      failures: [{ title: 'g › b', text: 'no' }],
    });
  });

  test('counts tests that did not run as failures, and tells of them once', () => {
    const cancelled = '{"state":"failed","title":"c","milliseconds":0,"cancelled":true}\n';
    const report = readReport(cancelled + cancelled + failed + end, { ...fine, code: 1 });
    expect(report.failed).toBe(3);
    expect(report.failures).toHaveLength(2);
    expect(report.failures[1]?.title).toBe('2 tests that did not run because of that');
  });

  test.each([
    ['a crash that ends with code 0', passed, fine, /ended with code 0 before/],
    ['a crash in the middle of a line', `${passed}{"state":"pas`, fine, /before the runner/],
    ['a crash before the first test', '', { ...fine, code: 3 }, /ended with code 3 before/],
    [
      'a crash after the last test',
      passed + end,
      { ...fine, code: 134 },
      /although no test failed/,
    ],
    ['a file that is killed', passed, { ...fine, timedOut: true }, /did not end in time/],
    ['a file without tests', end, fine, /has no tests/],
  ])('counts %s as a failure', (_what, report, how, title) => {
    const { failed: count, failures } = readReport(report, { ...how, output: 'last words' });
    expect(count).toBe(1);
    expect(failures[0]).toEqual({ title: expect.stringMatching(title), text: 'last words' });
  });
});
