import { expect, test } from 'vitest';
import {
  describeFailedTests,
  failedTests,
  retriedTests,
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

test('tests that passed at a later attempt are named with what the first one said', () => {
  const ran = report([
    {
      name: '/root/test/a.test.ts',
      status: 'passed',
      message: '',
      assertionResults: [
        { fullName: 'adds', status: 'passed', failureMessages: [] },
        { fullName: 'waits', status: 'passed', failureMessages: ['expected 1 to be 2'] },
        { fullName: 'divides', status: 'failed', failureMessages: ['no', 'no again'] },
      ],
    },
  ]);
  expect(retriedTests(ran, '/root/')).toEqual([
    { name: 'test/a.test.ts › waits', text: 'expected 1 to be 2' },
  ]);
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
