/**
 * A reporter for Node's test runner: one line of JSON for each test that ended, and a closing line, without which a run
 * does not count as having come to its end.
 */
import { inspect, stripVTControlCharacters } from 'node:util';
import { processError } from '@vitest/utils/error';
import type { ReportLine } from './report.ts';

interface RunnerEvent {
  readonly type: string;
  readonly data: {
    readonly name: string;
    readonly nesting: number;
    readonly skip?: string | boolean;
    readonly todo?: string | boolean;
    readonly details?: {
      readonly type?: string;
      readonly duration_ms: number;
      readonly error?: Error & { readonly failureType?: string };
    };
  };
}

/** Lines of a difference that are shown. */
const LONGEST_DIFF = 80;

const line = (value: ReportLine): string => `${JSON.stringify(value)}\n`;

export default async function* report(source: AsyncIterable<RunnerEvent>): AsyncGenerator<string> {
  const path: string[] = [];
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      path.length = data.nesting;
      path.push(data.name);
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const { details } = data;
    const error = details?.error;
    const failed = type === 'test:fail';
    const isGroup = details?.type === 'suite';
    // A group counts only where it failed by itself: in a hook, or while its tests were defined.
    if (isGroup && (!failed || error?.failureType === 'subtestsFailed')) continue;
    const title = [...path.slice(0, data.nesting), data.name].join(' › ');
    const skipped = data.skip !== undefined && data.skip !== false;
    yield line({
      state: failed ? 'failed' : skipped ? 'skipped' : 'passed',
      title,
      milliseconds: Math.round(details?.duration_ms ?? 0),
      ...(failed ? { failure: describeFailure(error?.cause ?? error) } : {}),
      ...(error?.failureType === 'cancelledByParent' ? { cancelled: true } : {}),
    });
  }
  yield line({ state: 'end' });
}

/** Message and stack, and what was expected beside what came, where the failure has both. */
function describeFailure(cause: unknown): string {
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : inspect(cause);
  const { diff } = processError(cause) as { readonly diff?: string };
  const shown = stripVTControlCharacters(diff ?? '')
    .split('\n')
    .slice(0, LONGEST_DIFF);
  return `${text}\n${shown.join('\n')}`.trimEnd();
}
