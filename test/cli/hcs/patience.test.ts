import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { PATIENCE_MS, withPatience } from '../../../src/cli/hcs/patience.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A stream that remembers what was written. */
class Lines {
  readonly isTTY: boolean;
  text = '';

  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }

  write(text: string): boolean {
    this.text += text;
    return true;
  }
}

async function run(isTTY: boolean, takesMs: number): Promise<string> {
  const stream = new Lines(isTTY);
  const work = new Promise<string>((resolve) => setTimeout(() => resolve('done'), takesMs));
  const done = withPatience('Working', work, stream as unknown as NodeJS.WriteStream);
  await vi.advanceTimersByTimeAsync(takesMs);
  expect(await done).toBe('done');
  return stream.text;
}

test('what is quick says nothing', async () => {
  expect(await run(true, PATIENCE_MS - 1)).toBe('');
});

test('what takes long is redrawn on a terminal, and leaves nothing there', async () => {
  const text = await run(true, PATIENCE_MS + 1000);
  expect(text).toContain('Working … 2 s');
  expect(text).toContain('Working … 3 s');
  expect(text.endsWith('\r\u001b[2K')).toBe(true);
});

test('in a log it is one line', async () => {
  expect(await run(false, PATIENCE_MS + 5000)).toBe('Working …\n');
});
