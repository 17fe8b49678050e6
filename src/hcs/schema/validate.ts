import { createRequire } from 'node:module';
import type { Ajv, ErrorObject, ValidateFunction } from 'ajv';
import { HcsError } from '../hcs-error.ts';
import { HRESULT, signedHresult } from '../hresult.ts';
import type { ErrorEvent, ResultError } from './documents.ts';
import { duplicateKeys } from './duplicate-keys.ts';
import { arrayTypes, fieldTypes, jsonSchemaOf, mapTypes } from './json-schema.ts';
import { nearest } from './nearest.ts';
import type { ObjectType } from './schema-types.ts';

/** One thing wrong with a document. */
export interface DocumentProblem {
  /** JSON path of the place: `$.VirtualMachine.Devices.FlexibleIov["0f6c…"].HostingModel`. */
  readonly path: string;
  /** What is wrong there, with the value and, where one is near, the name that was meant. */
  readonly message: string;
  /** The key or value that was probably meant, where one is near. */
  readonly suggestion?: string;
}

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
  collect(type, withoutNulls(type, value), '$', problems);
  return problems;
}

function collect(type: string, value: unknown, path: string, problems: DocumentProblem[]): void {
  const fields = fieldTypes(type);
  if (fields !== undefined) {
    const validate = validator(type as ObjectType);
    if (!validate(value)) {
      for (const error of validate.errors ?? []) {
        const problem = problemOf(error);
        if (problem === undefined) continue;
        problems.push({ ...problem, path: path + problem.path.slice(1) });
      }
    }
  }
  if (typeof value !== 'object' || value === null) return;
  const inner = arrayTypes(type)?.element ?? mapTypes(type)?.[1];
  for (const [key, item] of Object.entries(value)) {
    const itemType = inner ?? (fields && ownField(fields, key));
    if (itemType === undefined || typeof item !== 'object' || item === null) continue;
    collect(itemType, item, path + segment(key), problems);
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
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw invalidDocument(name, type, [{ path: '$', message: `is not JSON: ${reason}` }], cause);
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

/** The error for a document that is malformed or does not fit: HCS_E_INVALID_JSON. */
export function invalidDocument(
  name: string,
  type: string,
  problems: readonly DocumentProblem[],
  cause?: unknown,
): HcsError {
  const [first, ...others] = problems.map(({ path, message }) => `${path} ${message}`);
  const more = others.length === 0 ? '' : ` (and ${others.length} more: ${others.join('; ')})`;
  const events: ErrorEvent[] = problems.map(({ path, message }) => ({
    Message: `${path} ${message}`,
    Source: name,
  }));
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

function problemOf(error: ErrorObject): DocumentProblem | undefined {
  const { keyword, params, data, schema, parentSchema } = error;
  const path = jsonPath(error.instancePath);
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
    case 'propertyNames':
      return undefined;
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

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** A step of a JSON path: `.Devices`, `[0]` or `["a-b"]`. */
function segment(key: string): string {
  if (/^\d+$/.test(key)) return `[${key}]`;
  return /^[A-Za-z_]\w*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

function jsonPath(pointer: string): string {
  const keys = pointer.split('/').slice(1);
  return `$${keys.map((key) => segment(key.replaceAll('~1', '/').replaceAll('~0', '~'))).join('')}`;
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
