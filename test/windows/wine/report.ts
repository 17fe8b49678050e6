/** One line of what the reporter writes. */
export type ReportLine =
  | {
      readonly state: 'passed' | 'failed' | 'skipped';
      /** Groups and test, joined by ` › `. */
      readonly title: string;
      readonly milliseconds: number;
      readonly failure?: string;
      /** It did not run, as its group or file failed before. */
      readonly cancelled?: boolean;
    }
  /** The runner came to its end. */
  | { readonly state: 'end' };

/** What a test file did. */
export interface FileReport {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failures: readonly { readonly title: string; readonly text: string }[];
}

/** How the process that ran the file ended. */
export interface FileEnd {
  readonly code: number | null;
  readonly timedOut: boolean;
  /** What it printed. */
  readonly output: string;
}

/**
 * Counts a file's tests. A process that crashed, was killed, or ended with a code that no failure explains counts as one
 * failure more: its exit code alone proves nothing, and neither does its report.
 */
export function readReport(report: string, end: FileEnd): FileReport {
  const lines = report
    .split('\n')
    .filter((text) => text.trimEnd().endsWith('}'))
    .map((text) => JSON.parse(text) as ReportLine);
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const failures: { title: string; text: string }[] = [];
  let ended = false;
  let cancelled = 0;
  for (const line of lines) {
    if (line.state === 'end') {
      ended = true;
      continue;
    }
    counts[line.state]++;
    if (line.state !== 'failed') continue;
    if (line.cancelled) cancelled++;
    else failures.push({ title: line.title, text: line.failure ?? '' });
  }
  if (cancelled > 0) {
    failures.push({ title: `${cancelled} tests that did not run because of that`, text: '' });
  }
  const wrong = whatWentWrong(end, ended, counts);
  if (wrong !== undefined) {
    counts.failed++;
    const tail = end.output.trim().split('\n').slice(-30).join('\n');
    failures.push({ title: wrong, text: tail });
  }
  return { ...counts, failures };
}

function whatWentWrong(
  { code, timedOut }: FileEnd,
  ended: boolean,
  counts: Readonly<Record<'passed' | 'failed' | 'skipped', number>>,
): string | undefined {
  if (timedOut) return 'a test of the file did not end in time, and the file was killed';
  if (!ended) return `the process ended with code ${code} before the runner came to its end`;
  if (code !== 0 && counts.failed === 0) {
    return `the process ended with code ${code}, although no test failed`;
  }
  if (counts.passed + counts.failed + counts.skipped === 0) return 'the file has no tests';
  return undefined;
}
