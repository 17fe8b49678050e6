import { errorColors } from '../terminal.ts';

/** What takes longer than this is shown to go on, in milliseconds. */
export const PATIENCE_MS = 2000;

const REDRAW_MS = 250;
const MARKS = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧'] as const;

/** Does something, and shows that it goes on when it takes long: a line that is redrawn, or one line in a log. */
export async function withPatience<T>(
  what: string,
  promise: Promise<T>,
  stream: NodeJS.WriteStream = process.stderr,
): Promise<T> {
  const since = performance.now();
  let mark = 0;
  let redraw: NodeJS.Timeout | undefined;
  const draw = (): void => {
    const seconds = Math.round((performance.now() - since) / 1000);
    const sign = errorColors().cyan(MARKS[mark++ % MARKS.length] ?? '');
    stream.write(`\r\u001b[2K${sign} ${what} … ${seconds} s`);
  };
  const begin = setTimeout(() => {
    if (!stream.isTTY) {
      stream.write(`${what} …\n`);
      return;
    }
    draw();
    redraw = setInterval(draw, REDRAW_MS);
  }, PATIENCE_MS);
  try {
    return await promise;
  } finally {
    clearTimeout(begin);
    clearInterval(redraw);
    if (redraw !== undefined) stream.write('\r\u001b[2K');
  }
}
