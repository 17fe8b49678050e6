import Table from 'cli-table3';
import { arrayTypes, mapTypes } from '../../hcs/schema/json-schema.ts';
import {
  ENUM_TYPES,
  type EnumType,
  OBJECT_TYPES,
  type ObjectType,
} from '../../hcs/schema/schema-types.ts';
import { PLAIN_BORDERS } from '../plain-borders.ts';
import { colors, print } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { editorSchema } from './editor-schema.ts';
import { objectTypeNamed, typeNamed } from './type-named.ts';

/** What `hdvkit schema` was given. */
export interface SchemaOptions {
  readonly json?: boolean;
  readonly jsonSchema?: boolean;
}

/** One field of a type. */
interface Field {
  readonly name: string;
  readonly type: string;
  /** Schema version that brought it; absent where the published reference does not have the field. */
  readonly since?: string;
  /** What it may be, where that is a list. */
  readonly values?: readonly string[];
}

/** Lists the types of the schema, or shows one. @throws UsageError for a type that there is not */
export function showSchema(name: string | undefined, options: SchemaOptions): void {
  if (options.jsonSchema) {
    if (name === undefined) {
      throw new UsageError('Cannot print a JSON Schema: no type is named', 'add ComputeSystem');
    }
    print(JSON.stringify(editorSchema(objectTypeNamed(name)), null, 2));
  } else if (name === undefined) {
    list(options);
  } else {
    show(typeNamed(name), options);
  }
}

function list({ json }: SchemaOptions): void {
  const objects = Object.keys(OBJECT_TYPES) as ObjectType[];
  const enums = Object.keys(ENUM_TYPES) as EnumType[];
  if (json) {
    print(JSON.stringify({ objects, enums }, null, 2));
    return;
  }
  const c = colors();
  print(c.bold(`Documents and parts of them (${objects.length})`));
  printColumns(objects);
  print();
  print(c.bold(`Lists of values (${enums.length})`));
  printColumns(enums);
  print();
  print(c.dim('hdvkit schema TYPE shows one.'));
}

/** As many columns as the terminal has room for; one name a line where there is none. */
function printColumns(names: readonly string[]): void {
  const width = Math.max(...names.map(({ length }) => length)) + 2;
  const columns = Math.max(1, Math.floor(((process.stdout.columns ?? 0) - 2) / width));
  const rows = Math.ceil(names.length / columns);
  for (let row = 0; row < rows; row++) {
    const line = Array.from({ length: columns }, (_, column) => names[column * rows + row] ?? '');
    print(`  ${line.map((name) => name.padEnd(width)).join('')}`.trimEnd());
  }
}

function show(type: ObjectType | EnumType, { json }: SchemaOptions): void {
  if (Object.hasOwn(ENUM_TYPES, type)) {
    const values = valuesOf(type as EnumType);
    if (json) print(JSON.stringify({ type, kind: 'enum', values }, null, 2));
    else
      print(`${colors().bold(type)} is one of\n${values.map((value) => `  ${value}`).join('\n')}`);
    return;
  }
  const fields = fieldsOf(type as ObjectType);
  const usedBy = usersOf(type as ObjectType);
  if (json) {
    print(JSON.stringify({ type, kind: 'object', fields, usedBy }, null, 2));
    return;
  }
  const c = colors();
  if (fields.length === 0) print(`${c.bold(type)} has no fields: write {}`);
  else {
    print(c.bold(type));
    const table = new Table({
      head: ['field', 'type', 'since', 'values'],
      style: { head: [], border: [], compact: true },
      chars: PLAIN_BORDERS,
    });
    for (const { name, type: fieldType, since, values } of fields) {
      table.push([name, fieldType, since ?? '-', (values ?? []).join(', ')]);
    }
    for (const line of table.toString().split('\n')) print(line.trimEnd());
  }
  if (usedBy.length > 0) print(`\n${c.dim('used by')} ${usedBy.join(', ')}`);
  if (fields.some(({ since }) => since === undefined)) {
    print(c.dim('A field since - is not in the published reference.'));
  }
}

/** Fields of a type in the order of the schema. */
function fieldsOf(type: ObjectType): readonly Field[] {
  return Object.entries(OBJECT_TYPES[type]).map(([name, text]) => {
    const [fieldType = '', since] = (text as string).split(' ');
    const inner = innerType(fieldType);
    return {
      name,
      type: fieldType,
      ...(since === '-' || since === undefined ? {} : { since }),
      ...(Object.hasOwn(ENUM_TYPES, inner) ? { values: valuesOf(inner as EnumType) } : {}),
    };
  });
}

/** Some lists have an empty text, which the service gives and nobody writes. */
function valuesOf(type: EnumType): readonly string[] {
  return (ENUM_TYPES[type] as readonly string[]).filter((value) => value !== '');
}

/** `Type.Field` of each field that has it. */
function usersOf(type: ObjectType): readonly string[] {
  return (Object.keys(OBJECT_TYPES) as ObjectType[]).flatMap((holder) =>
    fieldsOf(holder)
      .filter((field) => innerType(field.type) === type)
      .map(({ name }) => `${holder}.${name}`),
  );
}

/** The type of the elements or values, where a field has many. */
function innerType(type: string): string {
  return arrayTypes(type)?.element ?? mapTypes(type)?.[1] ?? type;
}
