import {
  createScanner,
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from 'jsonc-parser';
import { UsageError } from '../usage-error.ts';

/** Largest document, in characters. Those that describe a machine with every device have some ten thousand. */
export const LARGEST_DOCUMENT = 4 * 1024 * 1024;

/** Deepest nesting of objects and arrays. The schema needs less than twenty. */
export const DEEPEST_DOCUMENT = 100;

/** Of SyntaxKind in jsonc-parser, which is a const enum: nothing of it is there to import. */
const Token = {
  OPEN_BRACE: 1,
  CLOSE_BRACE: 2,
  OPEN_BRACKET: 3,
  CLOSE_BRACKET: 4,
  END: 17,
} as const;

/** Keys and indexes that lead to a place in a document, outermost first. */
export type DocumentPath = readonly (string | number)[];

/** Where something stands in a file, as editors count: from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Something wrong with the text itself. */
export interface TextProblem extends Place {
  /** JSON path of what is being read there: `$.VirtualMachine`. */
  readonly path: DocumentPath;
  readonly message: string;
}

/** A JSON document with comments, which knows where each of its values stands. */
export class DocumentText {
  /** What is wrong with it as JSON, in the order of the file. Where there is anything, {@link value} is undefined. */
  readonly problems: readonly TextProblem[];
  /** The document as JSON, without comments; undefined where it is none. */
  readonly value: unknown;
  readonly #root: Node | undefined;
  /** Offsets at which lines begin. */
  readonly #lines: readonly number[];

  /**
   * @param name of the file, for the error
   * @throws UsageError for a text that is too large or nested too deeply to be a document
   */
  constructor(text: string, name: string) {
    // Some editors of Windows begin a file with a byte order mark, which is no JSON.
    const json = text.startsWith('\ufeff') ? ` ${text.slice(1)}` : text;
    checkSize(json, name);
    this.#lines = [0, ...[...json.matchAll(/\r\n|\n|\r/g)].map((end) => end.index + end[0].length)];
    const errors: ParseError[] = [];
    this.#root = parseTree(json, errors, { allowTrailingComma: true });
    const twice = this.#root === undefined ? [] : duplicates(this.#root);
    this.problems = [
      ...errors.map(({ error, offset }) => ({
        ...this.#placeAt(offset),
        path: this.#pathTo(offset),
        message: PARSE_ERRORS[printParseErrorCode(error)] ?? 'is not JSON',
      })),
      ...twice.map(({ offset, path }) => ({
        ...this.#placeAt(offset),
        path,
        message: 'stands there twice: a key names one thing',
      })),
    ].sort((one, other) => one.line - other.line || one.column - other.column);
    // By way of JSON: keys such as __proto__ are keys like others then.
    this.value =
      this.problems.length > 0 || this.#root === undefined
        ? undefined
        : JSON.parse(JSON.stringify(getNodeValue(this.#root)));
  }

  /**
   * Where a value stands: at its key, where it has one. Of a value that is missing, the innermost object that should have
   * had it.
   */
  placeOf(path: DocumentPath): Place {
    let node = this.#root;
    let { offset } = node ?? { offset: 0 };
    for (const key of path) {
      const next = child(node, key);
      if (next === undefined) break;
      ({ offset } = next);
      node = next.value;
    }
    return this.#placeAt(offset);
  }

  /** The value at a path, undefined where there is none. */
  valueAt(path: DocumentPath): unknown {
    let value = this.value;
    for (const key of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key))
        return undefined;
      value = (value as Readonly<Record<string | number, unknown>>)[key];
    }
    return value;
  }

  #placeAt(offset: number): Place {
    let from = 0;
    let to = this.#lines.length;
    while (to - from > 1) {
      const middle = (from + to) >> 1;
      if ((this.#lines[middle] as number) <= offset) from = middle;
      else to = middle;
    }
    return { line: from + 1, column: offset - (this.#lines[from] as number) + 1 };
  }

  /** Keys of the objects around a place. */
  #pathTo(offset: number): DocumentPath {
    const path: (string | number)[] = [];
    let node = this.#root;
    while (node !== undefined) {
      const inner: readonly Node[] = node.children ?? [];
      const at = inner.findIndex(
        (each) => each.offset <= offset && offset < each.offset + each.length,
      );
      const found = inner[at];
      if (found === undefined) break;
      if (node.type === 'array') path.push(at);
      if (found.type === 'property') path.push(found.children?.[0]?.value as string);
      node = found.type === 'property' ? found.children?.[1] : found;
    }
    return path;
  }
}

/** Refuses what recursion over the document would not survive, before anything recurses. */
function checkSize(text: string, name: string): void {
  if (text.length > LARGEST_DOCUMENT) {
    throw new UsageError(
      `Cannot read ${name} as a document: it has ${text.length} characters, and documents have at most ${LARGEST_DOCUMENT}`,
      'give a JSON document, not what it describes',
    );
  }
  const scanner = createScanner(text, true);
  let depth = 0;
  for (let token = scanner.scan(); token !== Token.END; token = scanner.scan()) {
    if (token === Token.OPEN_BRACE || token === Token.OPEN_BRACKET) depth++;
    if (token === Token.CLOSE_BRACE || token === Token.CLOSE_BRACKET) depth--;
    if (depth > DEEPEST_DOCUMENT) {
      throw new UsageError(
        `Cannot read ${name} as a document: objects and arrays are nested more than ${DEEPEST_DOCUMENT} deep in line ${scanner.getTokenStartLine() + 1}`,
        'look for a bracket that is not closed',
      );
    }
  }
}

/** Keys that stand twice in an object, where a parser keeps the last and says nothing. */
function duplicates(
  node: Node,
  path: DocumentPath = [],
): { readonly offset: number; readonly path: DocumentPath }[] {
  const keys = new Set<string>();
  return (node.children ?? []).flatMap((each, index) => {
    if (each.type !== 'property') return duplicates(each, [...path, index]);
    const [name, value] = each.children ?? [];
    const key = String(name?.value);
    const at = [...path, key];
    const again = keys.has(key) ? [{ offset: each.offset, path: at }] : [];
    keys.add(key);
    return [...again, ...(value === undefined ? [] : duplicates(value, at))];
  });
}

/** A value of an object or array: where its key, or itself, begins. */
function child(
  node: Node | undefined,
  key: string | number,
): { readonly offset: number; readonly value: Node | undefined } | undefined {
  if (node?.type === 'array') {
    const value = node.children?.[Number(key)];
    return value && { offset: value.offset, value };
  }
  if (node?.type !== 'object') return undefined;
  const property = node.children?.find((each) => each.children?.[0]?.value === String(key));
  return property && { offset: property.offset, value: property.children?.[1] };
}

const PARSE_ERRORS: Readonly<Record<string, string>> = {
  InvalidSymbol: 'has a word that is no JSON: strings stand in double quotes',
  InvalidNumberFormat: 'has a number that is no JSON',
  PropertyNameExpected: 'lacks a key in double quotes',
  ValueExpected: 'lacks a value',
  ColonExpected: 'lacks a colon after the key',
  CommaExpected: 'lacks a comma',
  CloseBraceExpected: 'lacks a closing brace }',
  CloseBracketExpected: 'lacks a closing bracket ]',
  EndOfFileExpected: 'goes on after the document has ended',
  InvalidCommentToken: 'has a comment where none may be',
  UnexpectedEndOfComment: 'has a comment that does not end',
  UnexpectedEndOfString: 'has a string that does not end',
  UnexpectedEndOfNumber: 'has a number that does not end',
  InvalidUnicode: 'has an escape that is no character: \\u takes four hexadecimal digits',
  InvalidEscapeCharacter: 'has an escape that JSON does not know: a backslash is written \\\\',
  InvalidCharacter: 'has a control character in a string: write it as an escape',
};
