import { type JsonSchema, jsonSchemaOf } from '../../hcs/schema/json-schema.ts';
import { OBJECT_TYPES, type ObjectType } from '../../hcs/schema/schema-types.ts';

/**
 * A type with all that it needs as one JSON Schema (draft 7, which every editor knows), with the version of each field
 * as its description.
 */
export function editorSchema(type: ObjectType): JsonSchema {
  const definitions: Record<string, JsonSchema> = {};
  const waiting: ObjectType[] = [];
  const refer = (name: ObjectType): JsonSchema => {
    if (!Object.hasOwn(definitions, name)) {
      definitions[name] = {};
      waiting.push(name);
    }
    return { $ref: `#/definitions/${name}` };
  };
  const whole = { $schema: 'http://json-schema.org/draft-07/schema#', ...described(type, refer) };
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    definitions[next] = described(next, refer);
  }
  return { ...whole, definitions };
}

function described(type: ObjectType, refer: (name: ObjectType) => JsonSchema): JsonSchema {
  const schema = jsonSchemaOf(type, refer);
  const versions = OBJECT_TYPES[type] as Readonly<Record<string, string>>;
  const properties = Object.entries(schema.properties as Readonly<Record<string, JsonSchema>>).map(
    ([name, property]) => {
      const [fieldType, since] = versions[name]?.split(' ') ?? [];
      const description = `${fieldType}, ${since === '-' ? 'not in the published reference' : `since schema ${since}`}`;
      // In draft 7, what stands beside a $ref is not read.
      const described = '$ref' in property ? { allOf: [property] } : property;
      return [name, { description, ...described }] as const;
    },
  );
  return { ...schema, properties: Object.fromEntries(properties) };
}
