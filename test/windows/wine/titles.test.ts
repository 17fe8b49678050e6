import { expect, test } from 'vitest';
import { rowTitle } from './titles.ts';

test.each([
  [['%s of %i', ['read', 4, 'rest'], 0], 'read of 4'],
  [['%s', 'text', 0], 'text'],
  [['row %#', ['x'], 2], 'row 2'],
  [['$name has $at.bar', { name: 'edu', at: { bar: 3 } }, 0], 'edu has 3'],
  [['costs $5', { name: 'edu' }, 0], 'costs $5'],
  [['100 % sure', ['x'], 0], '100 % sure'],
] as const)('%j is titled %s', ([title, row, index], wanted) => {
  expect(rowTitle(title, row, index)).toBe(wanted);
});
