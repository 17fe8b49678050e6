import { ENUM_TYPES, type EnumType, OBJECT_TYPES, type ObjectType } from './schema-types.ts';

/** A JSON Schema (draft 7) or a part of one. */
export type JsonSchema = Readonly<Record<string, unknown>>;

const scalars: Readonly<Record<string, JsonSchema>> = {
  Any: {},
  bool: { type: 'boolean' },
  float64: { type: 'number' },
  int32: { type: 'integer', minimum: -(2 ** 31), maximum: 2 ** 31 - 1 },
  int64: { type: 'integer', minimum: -(2 ** 63), maximum: 2 ** 63 },
  uint8: { type: 'integer', minimum: 0, maximum: 0xff },
  uint16: { type: 'integer', minimum: 0, maximum: 0xffff },
  uint32: { type: 'integer', minimum: 0, maximum: 0xffff_ffff },
  uint64: { type: 'integer', minimum: 0, maximum: 2 ** 64 },
  string: { type: 'string' },
  string_binary: { type: 'string' },
  NullableByteArray: { type: 'string' },
  DateTime: { type: 'string' },
  Guid: {
    type: 'string',
    pattern: '^[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$',
    title: 'a GUID, 8-4-4-4-12 hexadecimal digits without braces',
  },
  ByteArray: { type: 'string', pattern: '^[A-Za-z0-9+/]*={0,2}$', title: 'base64' },
  MacAddress: {
    type: 'string',
    pattern: '^([0-9A-Fa-f]{2}[-:]){5}[0-9A-Fa-f]{2}$',
    title: 'a MAC address such as 00-15-5D-00-00-01',
  },
};

/** Takes `Map<K,V>` apart. */
export function mapTypes(type: string): readonly [key: string, value: string] | undefined {
  const match = /^Map<(\w+),(\w+)>$/.exec(type);
  return match === null ? undefined : [match[1] as string, match[2] as string];
}

/** Takes `T[]` and `T[n]` apart; `count` is undefined for any number of elements. */
export function arrayTypes(
  type: string,
): { readonly element: string; readonly count: number | undefined } | undefined {
  const match = /^(\w+)\[(\d*)\]$/.exec(type);
  if (match === null) return undefined;
  return { element: match[1] as string, count: match[2] === '' ? undefined : Number(match[2]) };
}

/** Fields of an object type: name to type; undefined for any other type. */
export function fieldTypes(type: string): Readonly<Record<string, string>> | undefined {
  if (!Object.hasOwn(OBJECT_TYPES, type)) return undefined;
  const fields: Record<string, string> = {};
  for (const [name, text] of Object.entries(OBJECT_TYPES[type as ObjectType])) {
    fields[name] = (text as string).split(' ', 1)[0] as string;
  }
  return fields;
}

/** What stands for a field whose type is an object of the table. */
type ObjectSchema = (type: ObjectType) => JsonSchema;

function schemaOf(type: string, objectSchema: ObjectSchema): JsonSchema {
  const map = mapTypes(type);
  if (map !== undefined) {
    const [key, value] = map;
    const values = { type: 'object', additionalProperties: schemaOf(value, objectSchema) };
    if (key === 'string') return values;
    return {
      ...values,
      propertyNames: key === 'Guid' ? scalars.Guid : { pattern: '^\\d+$', title: 'a number' },
    };
  }
  const array = arrayTypes(type);
  if (array !== undefined) {
    const { element, count } = array;
    const items = { type: 'array', items: schemaOf(element, objectSchema) };
    return count === undefined ? items : { ...items, minItems: count, maxItems: count };
  }
  if (Object.hasOwn(OBJECT_TYPES, type)) return objectSchema(type as ObjectType);
  if (Object.hasOwn(ENUM_TYPES, type)) {
    return { type: 'string', enum: ENUM_TYPES[type as EnumType] };
  }
  const scalar = scalars[type];
  if (scalar === undefined)
    throw new RangeError(`Cannot use type ${type}: it is not in the schema`);
  return scalar;
}

/**
 * One object type of the table as JSON Schema: every field is optional, unknown fields are errors. Fields that are
 * objects of the table are only said to be objects, so that a document costs the types it uses: the whole schema takes
 * a validator 170 ms to compile, the types of a usual machine about ten. `objectSchema` says something else of them.
 */
export function jsonSchemaOf(
  type: ObjectType,
  objectSchema: ObjectSchema = () => ({ type: 'object' }),
): JsonSchema {
  const properties: Record<string, JsonSchema> = {};
  for (const [field, fieldType] of Object.entries(fieldTypes(type) ?? {})) {
    properties[field] = schemaOf(fieldType, objectSchema);
  }
  return { title: type, type: 'object', properties, additionalProperties: false };
}
