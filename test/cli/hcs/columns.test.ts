import { createColors } from 'picocolors';
import { describe, expect, test } from 'vitest';
import { tableLines } from '../../../src/cli/hcs/columns.ts';
import { cutTo, displayWidth, padTo } from '../../../src/cli/hcs/display-width.ts';
import { shortIds, uniqueLengths } from '../../../src/cli/hcs/short-ids.ts';

const plain = createColors(false);

describe('display width', () => {
  test.for([
    ['', 0],
    ['plain', 5],
    ['日本', 4],
    ['e\u0301', 1],
    ['🚀', 2],
    ['\u001b[32mgreen\u001b[39m', 5],
  ] as const)('%j takes %i places', ([text, width]) => {
    expect(displayWidth(text)).toBe(width);
    expect(displayWidth(padTo(text, 8))).toBe(8);
  });
});

describe('a text that is cut', () => {
  test.for([
    ['plain', 'plain'],
    ['plainly', 'plain…'],
    ['日本日', '日本日'],
    ['日本日本', '日本…'],
    ['🚀🚀🚀🚀', '🚀🚀…'],
    ['e\u0301'.repeat(7), `${'e\u0301'.repeat(5)}…`],
  ] as const)('%j is %j', ([text, cut]) => {
    expect(cutTo(text, 6)).toBe(cut);
  });
});

describe('short ids', () => {
  test('are as long as there is room, and long enough to be told apart', () => {
    const ids = ['machine-of-the-first', 'machine-of-the-second', 'short'];
    expect(shortIds(ids, 40)).toEqual(ids);
    expect(shortIds(ids, 18)).toEqual(['machine-of-the-fi…', 'machine-of-the-se…', 'short']);
    expect(shortIds(ids, 3)).toEqual(['machine-of-the-f…', 'machine-of-the-s…', 'short']);
  });

  test('are whole where another id goes on from them', () => {
    const lengths = uniqueLengths(['alp', 'alpha', 'alps', 'beta']);
    expect([...lengths]).toEqual([
      ['alp', 3],
      ['alpha', 4],
      ['alps', 4],
      ['beta', 1],
    ]);
  });

  test('never end in half a character', () => {
    const [first = ''] = shortIds(['🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀', '🛸'], 8);
    expect(first).toMatch(/^🚀+…$/u);
  });
});

describe('tables', () => {
  const columns = [
    { title: 'ID', text: (row: readonly string[]) => row[0] ?? '', isId: true },
    { title: 'SIZE', text: (row: readonly string[]) => row[1] ?? '', right: true },
    { title: 'NOTE', text: (row: readonly string[]) => row[2] ?? '' },
  ] as const;
  const rows = [
    ['a-long-id-that-takes-room', '1', 'x'],
    ['another-long-id', '1000', ''],
  ];

  test('are as wide as they have to be where there is no terminal', () => {
    expect(tableLines(columns, rows, undefined, plain)).toEqual([
      'ID                         SIZE  NOTE',
      'a-long-id-that-takes-room     1  x',
      'another-long-id            1000',
    ]);
  });

  test('shorten ids where the terminal is narrow', () => {
    expect(tableLines(columns, rows, 24, plain)).toEqual([
      'ID            SIZE  NOTE',
      'a-long-id-t…     1  x',
      'another-lon…  1000',
    ]);
  });

  test('show the beginning of what is long, on one line, and what steers terminals as escapes', () => {
    const long = 'x'.repeat(3 << 20);
    const twins = [`${long}1`, `${long}2`];
    const table = tableLines(
      columns,
      [
        ['a\u001b[2J', '1', long],
        ['b', '2', 'one\nother\u0007'],
        ['c', '3', '\u0007'.repeat(80)],
      ],
      undefined,
      plain,
    );
    expect(table).toEqual([
      'ID          SIZE  NOTE',
      `a\\u001b[2J     1  ${'x'.repeat(79)}…`,
      'b              2  one\\u000aother\\u0007',
      `c              3  ${'\\u0007'.repeat(13)}\\…`,
    ]);
    // Ids are what other commands are given.
    const ids = tableLines(
      [columns[0]],
      [[twins[0]!.slice(-200)], [twins[1]!.slice(-200)]],
      undefined,
      plain,
    );
    expect(ids.slice(1)).toEqual([twins[0]!.slice(-200), twins[1]!.slice(-200)]);
  });

  test('of 100,000 rows are not quadratic', () => {
    const many = Array.from({ length: 100_000 }, (_, at) => [`system-${at}`, String(at), '']);
    const lines = tableLines(columns, many, 20, plain);
    expect(lines).toHaveLength(100_001);
    expect(new Set(lines).size).toBe(100_001);
  });
});
