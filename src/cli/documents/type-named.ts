import { nearest } from '../../hcs/schema/nearest.ts';
import {
  ENUM_TYPES,
  type EnumType,
  OBJECT_TYPES,
  type ObjectType,
} from '../../hcs/schema/schema-types.ts';
import { UsageError } from '../usage-error.ts';

/**
 * The object type with a name that the user gave.
 * @throws UsageError when there is none; it suggests the one that was probably meant
 */
export function objectTypeNamed(name: string): ObjectType {
  if (Object.hasOwn(OBJECT_TYPES, name)) return name as ObjectType;
  if (Object.hasOwn(ENUM_TYPES, name)) {
    throw new UsageError(
      `Cannot use the type ${name} for a document: it is a list of values`,
      `hdvkit schema ${name} shows them`,
    );
  }
  throw unknownType(name, Object.keys(OBJECT_TYPES));
}

/** The same, for types that are lists of values, too. @throws UsageError as {@link objectTypeNamed} */
export function typeNamed(name: string): ObjectType | EnumType {
  if (Object.hasOwn(OBJECT_TYPES, name) || Object.hasOwn(ENUM_TYPES, name)) {
    return name as ObjectType | EnumType;
  }
  throw unknownType(name, [...Object.keys(OBJECT_TYPES), ...Object.keys(ENUM_TYPES)]);
}

function unknownType(name: string, names: readonly string[]): UsageError {
  const shown = name.length > 60 ? `${name.slice(0, 57)}...` : name;
  const meant = nearest(name.slice(0, 200), names);
  return new UsageError(
    `Cannot find the type ${JSON.stringify(shown)}: the schema has no such type`,
    meant === undefined ? 'hdvkit schema lists the types' : `did you mean ${meant}?`,
  );
}
