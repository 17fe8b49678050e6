import { format, inspect } from 'node:util';

/** The title of one row of a table of tests, as Vitest makes it: `%s` and its kin, `%#`, `$name`, `$name.part`. */
export function rowTitle(title: string, row: unknown, index: number): string {
  const args = Array.isArray(row) ? row : [row];
  const numbered = title.replaceAll('%#', String(index));
  const count = (numbered.match(/%[sdifjoOc]/g) ?? []).length;
  const printed = count === 0 ? numbered : format(numbered, ...args.slice(0, count));
  if (typeof row !== 'object' || row === null) return printed;
  return printed.replace(/\$([\w.]+)/g, (text, path: string) => {
    const value = path
      .split('.')
      .reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], row);
    if (value === undefined) return text;
    return typeof value === 'string' ? value : inspect(value, { depth: 1 });
  });
}
