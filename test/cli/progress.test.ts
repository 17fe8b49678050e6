import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { ProgressDisplay } from '../../src/cli/progress.ts';

function display(isTTY: boolean): { readonly shown: () => string; readonly bar: ProgressDisplay } {
  const stream = Object.assign(new PassThrough(), { isTTY });
  return {
    shown: () => String(stream.read() ?? ''),
    bar: new ProgressDisplay(stream as unknown as NodeJS.WriteStream),
  };
}

describe('progress', () => {
  test('is a few lines where there is no terminal', () => {
    const { shown, bar } = display(false);
    for (let done = 0; done <= 100; done++) bar.update({ step: 'download', done, total: 100 });
    expect(shown().split('\n')).toEqual([
      'download: 0 %',
      'download: 25 %',
      'download: 50 %',
      'download: 75 %',
      'download: 100 %',
      '',
    ]);
  });

  test('is one bar that is drawn again on a terminal', () => {
    const { shown, bar } = display(true);
    bar.update({ step: 'download', done: 50, total: 100 });
    bar.update({ step: 'download', done: 100, total: 100 });
    bar.finish();
    const text = shown();
    expect(text).toContain('████████████░░░░░░░░░░░░');
    expect(text).toContain('download 50 %');
    expect(text.match(/\n/g)).toHaveLength(1);
  });

  test('shows a step of unknown length without a percentage', () => {
    const { shown, bar } = display(false);
    bar.update({ step: 'unpack', done: 3, total: 0 });
    bar.update({ step: 'unpack', done: 4, total: 0 });
    expect(shown()).toBe('unpack\n');
  });
});
