import { createRequire } from 'node:module';
import type { Ajv, ErrorObject, ValidateFunction } from 'ajv';
import { HcsError } from '../hcs-error.ts';
import { HRESULT, signedHresult } from '../hresult.ts';
import type { ErrorEvent, ResultError } from './documents.ts';
import { duplicateKeys, nestingDepth } from './duplicate-keys.ts';
import { arrayTypes, fieldTypes, jsonSchemaOf, mapTypes } from './json-schema.ts';
import { nearest } from './nearest.ts';
import type { ObjectType } from './schema-types.ts';
import { isSecret, jsonProblem, shownValue } from './shown-value.ts';

/** One thing wrong with a document. */
export interface DocumentProblem {
  /** JSON path of the place: `$.VirtualMachine.Devices.FlexibleIov["0f6c…"].HostingModel`. */
  readonly path: string;
  /** What is wrong there, with the value and, where one is near, the name that was meant. */
  readonly message: string;
  /** The key or value that was probably meant, where one is near. */
  readonly suggestion?: string;
}

/** Characters of a document: far more than any machine takes, and few enough to be checked in a moment. */
const LONGEST_DOCUMENT = 4 * 1024 * 1024;
/** Objects and arrays in one another: the deepest of the schema are nested about ten times. */
const DEEPEST_DOCUMENT = 100;
/** Keys of an object, or elements of an array. */
const MOST_KEYS = 10_000;
/** Problems that are told; the others are counted. */
const MOST_PROBLEMS = 20;
/** Characters of the text of one problem. */
const LONGEST_TEXT = 1500;
/** Characters of a key that a path shows. */
const LONGEST_KEY = 80;

/** Loaded with the first document: threads that serve devices, which see none, start without it. */
const require = createRequire(import.meta.url);
let loaded: Ajv | undefined;

function ajv(): Ajv {
  if (loaded === undefined) {
    const { Ajv: Validator } = require('ajv') as typeof import('ajv');
    loaded = new Validator({
      allErrors: true,
      verbose: true,
      strict: false,
      validateSchema: false,
      code: { optimize: false },
    });
  }
  return loaded;
}

const validators = new Map<string, ValidateFunction>();

function validator(type: ObjectType): ValidateFunction {
  let validate = validators.get(type);
  if (validate === undefined) {
    validate = ajv().compile(jsonSchemaOf(type));
    validators.set(type, validate);
  }
  return validate;
}

/** What is wrong with a document, outer objects first; nothing when it fits. Null fields count as absent. */
export function documentProblems(type: ObjectType, value: unknown): readonly DocumentProblem[] {
  const problems: DocumentProblem[] = [];
  collect(type, withoutNulls(type, value), [], problems);
  return problems;
}

/** One of too many problems: it only counts. */
const UNTOLD: DocumentProblem = { path: '$', message: '' };

function collect(
  type: string,
  value: unknown,
  keys: readonly string[],
  problems: DocumentProblem[],
): void {
  const path = `$${keys.map(segment).join('')}`;
  const count = typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
  if (count > MOST_KEYS) {
    const what = Array.isArray(value) ? 'elements' : 'keys';
    problems.push({ path, message: `has ${count} ${what}, and at most ${MOST_KEYS} are read` });
    return;
  }
  const fields = fieldTypes(type);
  if (fields !== undefined) {
    const validate = validator(type as ObjectType);
    if (!validate(value)) {
      for (const error of validate.errors ?? []) {
        if (error.keyword === 'propertyNames') continue;
        const problem = problems.length < MOST_PROBLEMS ? problemOf(error, keys) : UNTOLD;
        problems.push({ ...problem, path: path + problem.path.slice(1) });
      }
    }
  }
  if (typeof value !== 'object' || value === null) return;
  const inner = arrayTypes(type)?.element ?? mapTypes(type)?.[1];
  for (const [key, item] of Object.entries(value)) {
    const itemType = inner ?? (fields && ownField(fields, key));
    if (itemType === undefined || typeof item !== 'object' || item === null) continue;
    collect(itemType, item, [...keys, key], problems);
  }
}

/**
 * Parses and checks a JSON document.
 * @param name function that the document was given to, for the error
 * @returns the document without fields that are null
 * @throws HcsError HCS_E_INVALID_JSON, with a ResultError that has one event for each problem
 */
export function parseDocument<T = Readonly<Record<string, unknown>>>(
  type: ObjectType,
  text: string,
  name: string,
): T {
  if (typeof text !== 'string') {
    const message = `the ${type} document is ${String(text)}: pass a text`;
    throw new HcsError({ function: name, hresult: HRESULT.E_INVALIDARG, message });
  }
  if (text.length > LONGEST_DOCUMENT) {
    const message = `has ${text.length} characters, and at most ${LONGEST_DOCUMENT} are read`;
    throw invalidDocument(name, type, [{ path: '$', message }]);
  }
  if (nestingDepth(text) > DEEPEST_DOCUMENT) {
    const message = `has objects or arrays nested more than ${DEEPEST_DOCUMENT} times`;
    throw invalidDocument(name, type, [{ path: '$', message }]);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = jsonProblem(text, cause instanceof Error ? cause.message : String(cause));
    // The one of JSON.parse has a part of the document.
    const own = new SyntaxError(reason);
    throw invalidDocument(name, type, [{ path: '$', message: `is not JSON: ${reason}` }], own);
  }
  const twice = duplicateKeys(text).map((keys) => ({
    path: `$${keys.map(segment).join('')}`,
    message: 'stands there twice: a key names one thing',
  }));
  if (twice.length > 0) throw invalidDocument(name, type, twice);
  return checkDocument<T>(type, value, name);
}

/** {@link parseDocument} for a value that was parsed before; `at` is its path within the whole document. */
export function checkDocument<T = Readonly<Record<string, unknown>>>(
  type: ObjectType,
  value: unknown,
  name: string,
  at = '$',
): T {
  const problems = documentProblems(type, value);
  if (problems.length > 0) {
    const placed = problems.map(({ path, message }) => ({ path: at + path.slice(1), message }));
    throw invalidDocument(name, type, placed);
  }
  return withoutNulls(type, value) as T;
}

/** A problem in words, which quote no more of the document than people read. */
function problemText({ path, message }: DocumentProblem): string {
  const text = `${path} ${message}`;
  return text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT)}...`;
}

/** The error for a document that is malformed or does not fit: HCS_E_INVALID_JSON. */
export function invalidDocument(
  name: string,
  type: string,
  problems: readonly DocumentProblem[],
  cause?: unknown,
): HcsError {
  const told = problems.slice(0, MOST_PROBLEMS).map(problemText);
  const [first, ...others] = told;
  const untold = problems.length > told.length ? '; and so on' : '';
  const more =
    others.length === 0 ? '' : ` (and ${problems.length - 1} more: ${others.join('; ')}${untold})`;
  const events: ErrorEvent[] = told.map((text) => ({ Message: text, Source: name }));
  const result: ResultError = {
    Error: signedHresult(HRESULT.HCS_E_INVALID_JSON),
    ErrorMessage: `Cannot use the ${type} document: ${first}${more}`,
    ErrorEvents: events,
  };
  return new HcsError({
    function: name,
    hresult: HRESULT.HCS_E_INVALID_JSON,
    document: JSON.stringify(result),
    cause,
  });
}

/** @param above keys that lead to the object which was checked */
function problemOf(error: ErrorObject, above: readonly string[]): DocumentProblem {
  const { keyword, params, data, schema, parentSchema } = error;
  const keys = keysOf(error.instancePath);
  const path = `$${keys.map(segment).join('')}`;
  const secret = isSecret([...above, ...keys]);
  const show = (value: unknown): string => shownValue(value, secret);
  switch (keyword) {
    case 'additionalProperties': {
      const key = params.additionalProperty as string;
      const known = Object.keys((parentSchema?.properties ?? {}) as object);
      const meant = nearest(key, known);
      const hint =
        meant !== undefined
          ? `did you mean "${meant}"?`
          : known.length === 0
            ? 'no keys are allowed here'
            : `known keys are ${known.join(', ')}`;
      return {
        path: path + segment(key),
        message: `is not a key of ${parentSchema?.title}: ${hint}`,
        ...(meant === undefined ? {} : { suggestion: meant }),
      };
    }
    case 'enum': {
      const values = schema as readonly string[];
      const meant = typeof data === 'string' ? nearest(data, values) : undefined;
      const hint = meant === undefined ? '' : `; did you mean "${meant}"?`;
      return {
        path,
        message: `is ${show(data)}, not one of ${values.filter((v) => v !== '').join(', ')}${hint}`,
        ...(meant === undefined ? {} : { suggestion: meant }),
      };
    }
    case 'type':
      return { path, message: `is ${show(data)}, not ${typeNames[schema as string] ?? schema}` };
    case 'pattern':
      return error.propertyName === undefined
        ? { path, message: `is ${show(data)}, not ${parentSchema?.title}` }
        : {
            path: path + segment(error.propertyName),
            message: `has the key ${show(error.propertyName)}, which is not ${parentSchema?.title}`,
          };
    case 'minimum':
    case 'maximum':
      return { path, message: `is ${show(data)}, ${keyword} ${schema}` };
    case 'minItems':
    case 'maxItems':
      return { path, message: `has ${(data as unknown[]).length} elements, not ${schema}` };
    default:
      return { path, message: error.message ?? keyword };
  }
}

const typeNames: Readonly<Record<string, string>> = {
  object: 'an object',
  array: 'an array',
  string: 'a string',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
};

/** A step of a JSON path: `.Devices`, `[0]` or `["a-b"]`. */
function segment(key: string): string {
  if (key.length > LONGEST_KEY) return `[${JSON.stringify(`${key.slice(0, LONGEST_KEY)}...`)}]`;
  if (/^\d+$/.test(key)) return `[${key}]`;
  return /^[A-Za-z_]\w*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** The keys of a JSON pointer (RFC 6901). */
function keysOf(pointer: string): readonly string[] {
  const keys = pointer.split('/').slice(1);
  return keys.map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** A copy in which known fields that are null are absent; values of type Any are kept as they are. */
function withoutNulls(type: string, value: unknown): unknown {
  const element = arrayTypes(type)?.element;
  if (Array.isArray(value)) {
    return element === undefined ? value : value.map((item) => withoutNulls(element, item));
  }
  if (typeof value !== 'object' || value === null) return value;
  const fields = fieldTypes(type);
  const values = mapTypes(type)?.[1];
  if (fields === undefined && values === undefined) return value;
  const kept: [string, unknown][] = [];
  for (const [key, item] of Object.entries(value)) {
    const itemType = fields === undefined ? values : ownField(fields, key);
    if (item === null && fields !== undefined && itemType !== undefined) continue;
    kept.push([key, itemType === undefined ? item : withoutNulls(itemType, item)]);
  }
  return Object.fromEntries(kept);
}

/** Type of a field; undefined for an unknown one, `constructor` and its like included. */
function ownField(fields: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(fields, key) ? fields[key] : undefined;
}
