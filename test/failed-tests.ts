/** What failed in a test run, told again at its end: whoever sees only the last lines of a log sees which and why. */

/** A test that failed, or a file that could not be run. */
export interface FailedTest {
  /** File and title. */
  readonly name: string;
  /** Message and stack. */
  readonly text: string;
}

/** What Vitest's JSON report says of a run. */
export interface VitestReport {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[] | null;
    }[];
  }[];
}

/** Failures that are told. */
const MOST_FAILURES = 20;

/** Lines of one that are told. */
const MOST_LINES = 25;

/**
 * What failed in a run of Vitest.
 * @param root folder that names of files are told from, with a slash at its end
 */
export function failedTests(report: VitestReport, root: string): FailedTest[] {
  return report.testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = fileName(name, root);
    const failed = assertionResults
      .filter((test) => test.status === 'failed')
      .map((test) => ({
        name: `${file} › ${test.fullName}`,
        text: (test.failureMessages ?? []).join('\n'),
      }));
    // A file that cannot be loaded, or whose hooks fail, has a message of its own.
    if (failed.length === 0 && status === 'failed') return [{ name: file, text: message }];
    return failed;
  });
}

/** What passed in a run of Vitest, but not at its first attempt, with what that said. */
export function retriedTests(report: VitestReport, root: string): FailedTest[] {
  return namedTests(report, root, ({ status, failureMessages }) => {
    return status === 'passed' && (failureMessages ?? []).length > 0;
  });
}

/** What did not run. */
export function skippedTests(report: VitestReport, root: string): FailedTest[] {
  return namedTests(report, root, ({ status }) => status !== 'passed' && status !== 'failed');
}

type TestResult = VitestReport['testResults'][number]['assertionResults'][number];

function namedTests(
  report: VitestReport,
  root: string,
  isWanted: (test: TestResult) => boolean,
): FailedTest[] {
  return report.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.filter(isWanted).map((test) => ({
      name: `${fileName(name, root)} › ${test.fullName}`,
      text: (test.failureMessages ?? []).join('\n'),
    })),
  );
}

function fileName(path: string, root: string): string {
  return path.startsWith(root) ? path.slice(root.length) : path;
}

/** The failures in words, the first of them only when there are very many; empty when there is none. */
export function describeFailedTests(failed: readonly FailedTest[]): string {
  const told = failed.slice(0, MOST_FAILURES).map(({ name, text }) => {
    const lines = text.trimEnd().split('\n');
    const more = lines.length > MOST_LINES ? ['…'] : [];
    return `✗ ${name}\n${[...lines.slice(0, MOST_LINES), ...more].map((line) => `    ${line}\n`).join('')}`;
  });
  if (failed.length > MOST_FAILURES) told.push(`and ${failed.length - MOST_FAILURES} more\n`);
  return told.join('');
}
