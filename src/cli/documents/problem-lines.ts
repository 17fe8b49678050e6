import { printable } from '../printable.ts';
import type { Colors } from '../terminal.ts';
import type { PlacedProblem } from './document-problems.ts';

/** Problems as compilers print them, so that editors find the place. */
export function problemLines(
  file: string,
  problems: readonly PlacedProblem[],
  colors: Colors,
): readonly string[] {
  return problems.map(
    ({ line, column, path, message }) =>
      `${file}:${line}:${column}: ${colors.bold(printable(path))} ${printable(message)}`,
  );
}
