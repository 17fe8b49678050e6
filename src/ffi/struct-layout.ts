import { type LibraryAbi, typeKind } from './abi.ts';

/** Where a field is. */
export interface FieldLayout {
  readonly name: string;
  readonly type: string;
  readonly offset: number;
  /** Bytes, of the whole array if it is one. */
  readonly size: number;
  /** Enums with negative values. */
  readonly signed: boolean;
}

/** A struct in memory, by the rules of the Windows x64 ABI, which are System V's and ARM64's as well. */
export interface StructLayout {
  readonly name: string;
  readonly size: number;
  readonly alignment: number;
  readonly fields: readonly FieldLayout[];
}

interface Extent {
  readonly size: number;
  readonly alignment: number;
  readonly signed: boolean;
}

/** Lays a struct of a table out.
 * @throws TypeError when the table has no such struct */
export function structLayout(abi: LibraryAbi, name: string): StructLayout {
  const kind = typeKind(abi, name);
  if (kind.is !== 'struct') throw new TypeError(`Cannot lay out ${name}: it is no struct`);
  const fields: FieldLayout[] = [];
  let end = 0;
  let alignment = 1;
  for (const [type, field] of kind.fields) {
    const extent = extentOf(abi, type);
    const offset = roundUp(end, extent.alignment);
    fields.push({ name: field, type, offset, size: extent.size, signed: extent.signed });
    end = offset + extent.size;
    alignment = Math.max(alignment, extent.alignment);
  }
  return { name, size: roundUp(end, alignment), alignment, fields };
}

function extentOf(abi: LibraryAbi, type: string): Extent {
  const array = /^(.*)\[(\d+)\]$/.exec(type);
  if (array !== null) {
    const element = extentOf(abi, array[1] as string);
    return { ...element, size: element.size * Number(array[2]) };
  }
  const kind = typeKind(abi, type);
  switch (kind.is) {
    case 'void':
      throw new TypeError('Cannot lay out a field of type void');
    case 'scalar':
      return { size: kind.size, alignment: kind.size, signed: false };
    case 'enum':
      return { size: 4, alignment: 4, signed: kind.signed };
    case 'struct': {
      const { size, alignment } = structLayout(abi, type);
      return { size, alignment, signed: false };
    }
    default:
      return { size: 8, alignment: 8, signed: false };
  }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** Field of a layout by its name.
 * @throws RangeError */
export function fieldOf(layout: StructLayout, name: string): FieldLayout {
  const field = layout.fields.find((candidate) => candidate.name === name);
  if (field === undefined) throw new RangeError(`Cannot find field ${name} of ${layout.name}`);
  return field;
}

/** The scalar fields of a struct as numbers, or as bigint where they are not safe integers. */
export function readStruct(
  layout: StructLayout,
  bytes: DataView,
  offset = 0,
): Record<string, number | bigint> {
  const values: Record<string, number | bigint> = {};
  for (const field of layout.fields) values[field.name] = readField(field, bytes, offset);
  return values;
}

/** Bytes of a struct; fields that are not given are zero. Keep them referenced while native code has the address. */
export function structBytes(
  layout: StructLayout,
  values: Readonly<Record<string, number | bigint>>,
): Uint8Array<ArrayBuffer> {
  // Longer than 64 bytes, as shorter ones live on the JavaScript heap, which moves.
  const bytes = new Uint8Array(new ArrayBuffer(Math.max(layout.size, 128)), 0, layout.size);
  const view = new DataView(bytes.buffer);
  for (const [name, value] of Object.entries(values)) {
    writeField(fieldOf(layout, name), view, value);
  }
  return bytes;
}

function readField(field: FieldLayout, bytes: DataView, base: number): number | bigint {
  const at = base + field.offset;
  switch (field.size) {
    case 1:
      return bytes.getUint8(at);
    case 2:
      return bytes.getUint16(at, true);
    case 4:
      return field.signed ? bytes.getInt32(at, true) : bytes.getUint32(at, true);
    case 8: {
      const value = bytes.getBigUint64(at, true);
      return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
    }
    default:
      throw new RangeError(`Cannot read field ${field.name} of type ${field.type} as a number`);
  }
}

function writeField(field: FieldLayout, bytes: DataView, value: number | bigint): void {
  switch (field.size) {
    case 1:
      bytes.setUint8(field.offset, Number(value));
      return;
    case 2:
      bytes.setUint16(field.offset, Number(value), true);
      return;
    case 4:
      bytes.setUint32(field.offset, Number(value), true);
      return;
    case 8:
      bytes.setBigUint64(field.offset, BigInt.asUintN(64, BigInt(value)), true);
      return;
    default:
      throw new RangeError(`Cannot write field ${field.name} of type ${field.type} as a number`);
  }
}
