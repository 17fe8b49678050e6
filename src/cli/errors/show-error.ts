import {
  formatHresult,
  HRESULT,
  type HresultName,
  hresultMeaning,
  hresultName,
  signedHresult,
} from '../../hcs/hresult.ts';
import { colors, print } from '../terminal.ts';
import { codeGiven } from './code-given.ts';
import { type Explanation, explanationOf } from './explanations.ts';
import { FUNCTION_ERRORS } from './function-errors.ts';
import { type HresultParts, partsOf } from './parts.ts';

/** All that is known of an HRESULT. */
interface ErrorFacts extends Partial<Explanation> {
  readonly hresult: string;
  readonly signed: number;
  readonly unsigned: number;
  readonly name?: HresultName;
  readonly parts: HresultParts;
  readonly functions: readonly string[];
  /** Name of the same error in the other family of codes of the compute service. */
  readonly twin?: HresultName;
  /** A small number is more often a Win32 error, or the code alone: the HRESULT that it then is. */
  readonly asWin32?: string;
}

/** Explains an HRESULT. @throws UsageError for what is no number and no name */
export function showError(text: string, { json }: { readonly json?: boolean }): void {
  const facts = factsOf(codeGiven(text));
  if (json) print(JSON.stringify(facts, null, 2));
  else show(facts);
}

function factsOf(value: number): ErrorFacts {
  const name = hresultName(value);
  const twin = twinOf(value);
  const explained = name ?? twin;
  const meaning = [name, twin].map((each) => each && hresultMeaning(each)).find((each) => each);
  const asWin32 = value > 0 && value <= 0xffff ? formatHresult(0x8007_0000 + value) : undefined;
  return {
    hresult: formatHresult(value),
    signed: signedHresult(value),
    unsigned: value,
    ...(name === undefined ? {} : { name }),
    ...(meaning === undefined ? {} : { meaning }),
    ...(explained === undefined ? {} : explanationOf(explained)),
    parts: partsOf(value),
    functions: [name, twin].flatMap((each) =>
      each === undefined ? [] : Object.keys(FUNCTION_ERRORS).filter((fn) => gives(fn, each)),
    ),
    ...(twin === undefined ? {} : { twin }),
    ...(asWin32 === undefined ? {} : { asWin32 }),
  };
}

function gives(fn: string, name: HresultName): boolean {
  return FUNCTION_ERRORS[fn]?.includes(name) ?? false;
}

/** vmcompute.dll gives C03701nn where computecore.dll gives 803701nn. */
function twinOf(value: number): HresultName | undefined {
  if (value >>> 8 === 0xc0_3701) return hresultName(value - 0x4000_0000);
  return value >>> 8 === 0x80_3701 ? hresultName(value + 0x4000_0000) : undefined;
}

function show({ parts, functions, twin, asWin32, ...facts }: ErrorFacts): void {
  const c = colors();
  const { facility, facilityName, code } = parts;
  print(`${c.bold(facts.name ?? 'No name is known')}  ${facts.hresult}`);
  print();
  const kind = [
    parts.severity,
    ...(parts.isCustomer ? ["not Microsoft's"] : []),
    ...(parts.isNtStatus ? ['an NTSTATUS'] : []),
  ].join(', ');
  const rows: [string, string | undefined][] = [
    ['number', `${facts.signed} signed, ${facts.unsigned} unsigned`],
    ['severity', kind],
    ['facility', `${facility} (${facilityName ?? 'unknown'})`],
    ['code', `${code} (0x${code.toString(16).toUpperCase().padStart(4, '0')})`],
    ['meaning', facts.meaning],
    ['cause', facts.cause],
    ['remedy', facts.remedy],
    ['given by', functions.length === 0 ? undefined : functions.join(', ')],
    ['also', twin && `${twin} ${formatHresult(HRESULT[twin])}, of the other library`],
  ];
  for (const [title, text] of rows) {
    if (text !== undefined) print(`  ${c.dim(title.padEnd(9))} ${text}`);
  }
  if (asWin32 !== undefined) {
    print(`\nA Win32 error ${facts.unsigned} is ${asWin32} as an HRESULT: hdvkit error ${asWin32}`);
  } else if (facts.name === undefined && facility === 7) {
    print(`\nIt carries the Win32 error ${code}: net helpmsg ${code} on Windows says more.`);
  }
}
