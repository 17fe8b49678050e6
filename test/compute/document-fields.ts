import { type DocumentField, documentFields, useText } from '../../src/compute/document-fields.ts';
import { QEMU_FIELDS, QEMU_OTHERWISE } from '../../src/engines/qemu/document-fields.ts';
import {
  SIMULATED_FIELDS,
  SIMULATED_OTHERWISE,
} from '../../src/engines/simulated/document-fields.ts';

export const QEMU_ROWS: readonly DocumentField[] = documentFields(
  'VirtualMachine',
  QEMU_FIELDS,
  QEMU_OTHERWISE,
);

export const SIMULATED_ROWS: readonly DocumentField[] = documentFields(
  'VirtualMachine',
  SIMULATED_FIELDS,
  SIMULATED_OTHERWISE,
);

const BEGIN = '<!-- fields: written by test/compute/write-document-fields.ts -->';
const END = '<!-- end of fields -->';

/** A page with the table of fields in the place of the old one. @throws Error when it has no place for it */
export function withFieldTable(page: string): string {
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error('there is no place for fields');
  return `${before}${BEGIN}\n\n${fieldTable()}\n\n${END}${after}`;
}

/** What either host makes of each field; one that has a row for the sake of the other host only is as what is in it. */
function fieldTable(): string {
  const simulated = new Map(SIMULATED_ROWS.map(({ path, use }) => [path, use]));
  const linux = new Map(QEMU_ROWS.map(({ path, use }) => [path, use]));
  const types = new Map([...QEMU_ROWS, ...SIMULATED_ROWS].map(({ path, type }) => [path, type]));
  const cell = (use: DocumentField['use'] | undefined): string =>
    use === undefined ? 'as its fields' : useText(use);
  const rows = [...types].map(([path, type]) => [
    `\`${path}\``,
    type,
    cell(linux.get(path)),
    cell(simulated.get(path)),
  ]);
  const table = [['Field', 'Type', 'linux', 'simulated'], ...rows];
  const widths = [0, 1, 2, 3].map((i) => Math.max(...table.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, i) => text.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = table;
  const rule = line(widths.map((width) => '-'.repeat(width)));
  return [line(head), rule, ...body.map(line)].join('\n');
}
