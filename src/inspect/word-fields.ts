/** Where a field stands in a register: one bit number for a flag, or [lowest bit, width] with an optional conversion. */
export type FieldPlace =
  | number
  | readonly [low: number, width: number, convert?: (value: number) => number];

/**
 * A binary-parser formatter that splits a little-endian word into fields. binary-parser's own bit fields read
 * big-endian words, which puts a field that crosses a byte in the wrong place.
 */
export function wordFields(
  places: Readonly<Record<string, FieldPlace>>,
): (word: number) => Record<string, number | boolean> {
  return (word) => {
    const fields: Record<string, number | boolean> = {};
    for (const [name, place] of Object.entries(places)) {
      if (typeof place === 'number') {
        fields[name] = ((word >>> place) & 1) === 1;
        continue;
      }
      const [low, width, convert] = place;
      const value = (word >>> low) & (width === 32 ? 0xffff_ffff : 2 ** width - 1);
      fields[name] = convert ? convert(value) : value;
    }
    return fields;
  };
}
