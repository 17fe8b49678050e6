import type { LibraryAbi } from '../../src/ffi/abi.ts';
import { structLayout } from '../../src/ffi/struct-layout.ts';
import { cNumber, pointerTo } from './abi-header.ts';

/** C that compiles when the declarations it includes agree with a table. */
export interface AbiChecks {
  readonly source: string;
  /** Functions, enumerators, structs and callbacks of the table that the included headers lack, in order. */
  readonly absent: readonly string[];
}

/**
 * Checks a table against C declarations: size of each struct, offset and type of each field, value and width of each
 * enum, and each prototype, by assignment to a pointer of the table's type.
 * @param includes headers that declare what is checked
 * @param declared whether the headers declare a name; default: all
 */
export function abiChecks(
  abi: LibraryAbi,
  includes: readonly string[],
  declared: (name: string) => boolean = () => true,
): AbiChecks {
  const absent: string[] = [];
  const has = (name: string): boolean => {
    if (declared(name)) return true;
    absent.push(name);
    return false;
  };
  const lines = [
    ...includes.map((name) => `#include <${name}>`),
    '#include <stddef.h>',
    `#define SAME(a, b) _Static_assert(__builtin_types_compatible_p(a, b), #a " is not " #b)`,
  ];
  for (const [name, values] of Object.entries(abi.enums)) {
    if (has(name)) lines.push(`_Static_assert(sizeof(${name}) == 4, "${name}");`);
    for (const [member, value] of Object.entries(values)) {
      if (!has(member)) continue;
      const expected = `(unsigned)${cNumber(value)}`;
      lines.push(`_Static_assert((unsigned)${member} == ${expected}, "${member}");`);
    }
  }
  for (const name of Object.keys(abi.structs))
    if (has(name)) lines.push(...structChecks(abi, name));
  for (const [name, prototype] of Object.entries(abi.callbacks)) {
    if (has(name)) lines.push(`${pointerTo(prototype, `check_${name}`)} = (${name})0;`);
  }
  for (const [name, prototype] of Object.entries(abi.functions)) {
    if (has(name)) lines.push(`${pointerTo(prototype, `check_${name}`)} = ${name};`);
  }
  return { source: `${lines.join('\n')}\n`, absent };
}

function structChecks(abi: LibraryAbi, name: string): string[] {
  const layout = structLayout(abi, name);
  const fields = layout.fields.flatMap((field) => [
    `_Static_assert(offsetof(${name}, ${field.name}) == ${field.offset}, "${name}.${field.name}");`,
    `_Static_assert(sizeof(((${name} *)0)->${field.name}) == ${field.size}, "${name}.${field.name}");`,
    `SAME(__typeof__(((${name} *)0)->${field.name}), ${field.type});`,
  ]);
  return [
    `_Static_assert(sizeof(${name}) == ${layout.size}, "${name}");`,
    `_Static_assert(_Alignof(${name}) == ${layout.alignment}, "${name}");`,
    ...fields,
  ];
}
