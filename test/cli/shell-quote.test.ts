import { expect, test } from 'vitest';
import { shellQuote } from '../../src/cli/shell-quote.ts';

test.each([
  ['device.ts', 'device.ts'],
  ['my device.ts', "'my device.ts'"],
  ["it's", "'it'\\''s'"],
  ['', "''"],
  ['$HOME', "'$HOME'"],
])('%j is typed as %s in a POSIX shell', (word, typed) => {
  expect(shellQuote(word, 'linux')).toBe(typed);
});

test.each([
  ['C:\\devices\\edu.ts', 'C:\\devices\\edu.ts'],
  ['C:\\Program Files\\edu.ts', '"C:\\Program Files\\edu.ts"'],
  ['\\\\server\\share\\a&b.ts', '"\\\\server\\share\\a&b.ts"'],
  ['C:\\my devices\\', '"C:\\my devices\\\\"'],
  ['', '""'],
  ['a,b', '"a,b"'],
  ['{"a":1}', '\'{"a":1}\''],
  ["$it's", "'$it''s'"],
])('%j is typed as %s on Windows', (word, typed) => {
  expect(shellQuote(word, 'win32')).toBe(typed);
});
