import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT } from '../hcs/hresult.ts';
import { arrayTypes, fieldTypes, mapTypes } from '../hcs/schema/json-schema.ts';

/** What an engine makes of a field of a document. */
export type FieldUse =
  /** It does what the field says. */
  | 'honoured'
  /** The field may be there, and changes nothing, for this reason. */
  | { readonly noEffect: string }
  /** A document with the field is not run, for this reason. A value that asks for nothing, false or 0, may be there. */
  | { readonly refused: string };

/**
 * The fields of an object type, by name; what stands for an object is said of all that is below it. Objects of a map and
 * elements of an array have no names of their own. The empty name is the object itself, where its being there means
 * something.
 */
export interface FieldTable {
  readonly [field: string]: FieldUse | FieldTable;
}

/** One field with what becomes of it. */
export interface DocumentField {
  /** Names from the document's kind on, `*` for keys and indexes: `Devices.ComPorts.*.NamedPipe`. */
  readonly path: string;
  /** Of the schema: `bool`, `AttachmentType`. */
  readonly type: string;
  readonly use: FieldUse;
}

/**
 * Refuses a document with a field that is not honoured.
 * @param type type of `value` in the schema
 * @param path JSON path of `value`
 * @param otherwise why a field that the table does not have is refused
 * @throws HcsError E_NOTIMPL naming the path
 */
export function checkFields(
  type: string,
  value: unknown,
  table: FieldTable,
  path: string,
  otherwise: string,
): void {
  const isMap = mapTypes(type) !== undefined;
  const element = mapTypes(type)?.[1] ?? arrayTypes(type)?.element;
  for (const [key, field] of Object.entries((value ?? {}) as Readonly<Record<string, unknown>>)) {
    const at =
      path + (element === undefined ? `.${key}` : `[${isMap ? JSON.stringify(key) : key}]`);
    if (element !== undefined) {
      checkFields(element, field, table, at, otherwise);
      continue;
    }
    const use = Object.hasOwn(table, key) ? table[key] : undefined;
    const fieldType = fieldTypes(type)?.[key] ?? 'Any';
    if (use !== undefined && !isUse(use)) {
      checkFields(fieldType, field, use, at, otherwise);
    } else if (use === undefined || isRefused(use)) {
      if (field === false || field === 0 || field === undefined) continue;
      throw refusal(at, use === undefined ? otherwise : use.refused);
    }
  }
}

/** Every field of a type with what becomes of it, in the order of the schema: the innermost ones, and objects that mean something. */
export function documentFields(
  type: string,
  table: FieldTable,
  otherwise: string,
): readonly DocumentField[] {
  const found: DocumentField[] = [];
  const visit = (of: string, path: string, entry: FieldUse | FieldTable): void => {
    const element = mapTypes(of)?.[1] ?? arrayTypes(of)?.element;
    if (element !== undefined) {
      visit(element, `${path}.*`, entry);
      return;
    }
    const fields = Object.entries(fieldTypes(of) ?? {});
    if (fields.length === 0) {
      const use = isUse(entry) ? entry : (entry[''] ?? { refused: otherwise });
      found.push({ path, type: of, use: use as FieldUse });
      return;
    }
    if (!isUse(entry) && entry[''] !== undefined) {
      found.push({ path, type: of, use: entry[''] as FieldUse });
    }
    for (const [name, fieldType] of fields) {
      const inner = isUse(entry) ? entry : (entry[name] ?? { refused: otherwise });
      visit(fieldType, path === '' ? name : `${path}.${name}`, inner);
    }
  };
  visit(type, '', table);
  return found;
}

/** The words for a use in a table for people. */
export function useText(use: FieldUse): string {
  if (use === 'honoured') return use;
  return 'noEffect' in use ? `no effect: ${use.noEffect}` : `refused: ${use.refused}`;
}

function isUse(entry: FieldUse | FieldTable): entry is FieldUse {
  return typeof entry === 'string' || 'noEffect' in entry || 'refused' in entry;
}

function isRefused(use: FieldUse): use is { readonly refused: string } {
  return typeof use === 'object' && 'refused' in use;
}

function refusal(path: string, reason: string): HcsError {
  return new HcsError({
    function: 'HcsCreateComputeSystem',
    hresult: HRESULT.E_NOTIMPL,
    message: `Cannot honour ${path}: ${reason}`,
  });
}
