import { printable } from '../printable.ts';
import { type Colors, colors } from '../terminal.ts';
import { cutTo, displayWidth, padTo } from './display-width.ts';
import { shortIds } from './short-ids.ts';

/** One column of a table for people. */
export interface Column<Row> {
  readonly title: string;
  text(row: Row): string;
  /** Colours for a text that has its width already. */
  color?(text: string, row: Row, c: Colors): string;
  /** Numbers stand right. */
  readonly right?: boolean;
  /** Ids, which may be shortened to what tells them apart where the terminal is narrow. */
  readonly isId?: boolean;
}

const GAP = 2;

/** Places of the widest cell. An id takes more where that tells it from others. */
const WIDEST = 80;

/**
 * Lines of a table, title first. What a cell has of control characters are escapes, so that none steers the terminal. Ten thousand rows take a moment, so nothing here is quadratic.
 * @param width places of the terminal's line; undefined where there is no terminal, and only what is too long anywhere is
 * shortened
 */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number | undefined = process.stdout.isTTY ? process.stdout.columns : undefined,
  c = colors(),
): readonly string[] {
  const texts = columns.map((column) => {
    const whole = rows.map((row) => column.text(row));
    if (column.isId) return shortIds(whole, WIDEST).map(printable);
    // As escapes control characters take more places.
    return whole.map((text) => cutTo(printable(cutTo(text, WIDEST)), WIDEST));
  });
  const widths = columns.map((column, at) => widest(column.title, texts[at] ?? []));
  const total = widths.reduce((sum, each) => sum + each, 0) + GAP * (columns.length - 1);
  if (width !== undefined && total > width) {
    columns.forEach((column, at) => {
      if (!column.isId) return;
      const room = Math.max((widths[at] ?? 0) - (total - width), displayWidth(column.title));
      texts[at] = shortIds(texts[at] ?? [], room);
      widths[at] = widest(column.title, texts[at] ?? []);
    });
  }
  const line = (cells: readonly string[]): string => cells.join(' '.repeat(GAP)).replace(/ +$/, '');
  const title = columns.map((column, at) => c.bold(place(column.title, at)));
  return [
    line(title),
    ...rows.map((row, index) =>
      line(
        columns.map((column, at) => {
          const text = place(texts[at]?.[index] ?? '', at);
          return column.color?.(text, row, c) ?? text;
        }),
      ),
    ),
  ];

  function place(text: string, at: number): string {
    const size = widths[at] ?? 0;
    if (columns[at]?.right) return ' '.repeat(Math.max(0, size - displayWidth(text))) + text;
    // The last column needs no spaces behind it.
    return at === columns.length - 1 ? text : padTo(text, size);
  }
}

function widest(title: string, texts: readonly string[]): number {
  let width = displayWidth(title);
  for (const text of texts) width = Math.max(width, displayWidth(text));
  return width;
}
