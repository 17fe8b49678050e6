import { ENUM_TYPES, OBJECT_TYPES, type ObjectType } from '../../src/hcs/schema/schema-types.ts';

const scalars: Record<string, string> = {
  Any: 'unknown',
  bool: 'boolean',
  float64: 'number',
  int32: 'number',
  int64: 'number',
  uint8: 'number',
  uint16: 'number',
  uint32: 'number',
  uint64: 'number',
};

const texts = new Set(['string', 'Guid', 'ByteArray', 'NullableByteArray', 'string_binary']);
for (const name of ['DateTime', 'MacAddress']) texts.add(name);

/** The TypeScript type of a type name of the schema. */
function typeOf(name: string): string {
  const map = /^Map<(\w+),(\w+)>$/.exec(name);
  if (map !== null) return `{ readonly [key: string]: ${typeOf(map[2] as string)} }`;
  const array = /^(\w+)\[(\d*)\]$/.exec(name);
  if (array !== null) {
    const element = typeOf(array[1] as string);
    if (array[2] === '') return `readonly ${element}[]`;
    return `readonly [${Array(Number(array[2])).fill(element).join(', ')}]`;
  }
  if (texts.has(name)) return 'string';
  if (name in OBJECT_TYPES || name in ENUM_TYPES) return name;
  const scalar = scalars[name];
  if (scalar === undefined)
    throw new RangeError(`Cannot write type ${name}: it is not in the schema`);
  return scalar;
}

function interfaceOf(name: ObjectType): string {
  const fields = Object.entries(OBJECT_TYPES[name] as Readonly<Record<string, string>>);
  if (fields.length === 0) {
    return `/** ${name}: has no fields. */\nexport type ${name} = { readonly [key: string]: never };\n`;
  }
  const lines = fields.map(([field, text]) => {
    const [type = '', since = ''] = text.split(' ');
    const note = since === '-' ? '  /** Not in the published reference. */\n' : '';
    return `${note}  readonly ${field}?: ${typeOf(type)};\n`;
  });
  return `/** ${name} document. */\nexport interface ${name} {\n${lines.join('')}}\n`;
}

function unionOf(name: string, values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`);
  const line = `export type ${name} = ${quoted.join(' | ')};`;
  const body =
    line.length <= 100
      ? line
      : `export type ${name} =\n${quoted.map((value) => `  | ${value}`).join('\n')};`;
  return `/** Values of ${name}. */\n${body}\n`;
}

/** The text of `src/hcs/schema/documents.ts`, made from the table of the schema. */
export function documentTypes(): string {
  const parts = [
    '// Longer than a file should be: the types of all documents, written by test/hcs/write-document-types.ts from\n// schema-types.ts. Edit that table, not this file.\n',
  ];
  for (const name of Object.keys(OBJECT_TYPES)) parts.push(interfaceOf(name as ObjectType));
  for (const [name, values] of Object.entries(ENUM_TYPES)) parts.push(unionOf(name, values));
  return parts.join('\n');
}
