import type { RegisterDescription } from '../device/register-description.ts';

/** A register that an offset falls into. */
export interface LocatedRegister {
  readonly description: RegisterDescription;
  /** `'CHANNEL[3]'` for an element of an array. */
  readonly name: string;
  /** Bytes from the start of the register; not 0 for a narrow or misaligned access. */
  readonly inside: number;
}

/** Finds the register at an offset of a register map, or undefined in a hole. */
export function locateRegister(
  registers: readonly RegisterDescription[],
  offset: number,
): LocatedRegister | undefined {
  for (const description of registers) {
    const { count, stride, width, isArray } = description;
    const index = Math.floor((offset - description.offset) / stride);
    if (index < 0 || index >= count) continue;
    const inside = offset - description.offset - index * stride;
    if (inside >= width) continue;
    return {
      description,
      inside,
      name: isArray ? `${description.name}[${index}]` : description.name,
    };
  }
  return undefined;
}

/** `READY=1 MODE=2`: the fields of a register in a value, or an empty text when it has none. */
export function formatFields(description: RegisterDescription, value: number | bigint): string {
  const wide = BigInt(value);
  return Object.entries(description.fields)
    .map(([name, { lsb, count }]) => {
      const field = (wide >> BigInt(lsb)) & ((1n << BigInt(count)) - 1n);
      return `${name}=${field < 10n ? field : `0x${field.toString(16)}`}`;
    })
    .join(' ');
}

/**
 * The fields that a narrow access touches: `value` is what was accessed, `inside` where in the register it begins.
 * A field of which only a part was accessed is left out, as its value is not known.
 */
export function formatAccessedFields(
  description: RegisterDescription,
  inside: number,
  width: number,
  value: number,
): string {
  const from = inside * 8;
  const whole = Object.entries(description.fields).filter(
    ([, { lsb, count }]) => lsb >= from && lsb + count <= from + width * 8,
  );
  const fields = Object.fromEntries(
    whole.map(([name, field]) => [name, { ...field, lsb: field.lsb - from }]),
  );
  return formatFields({ ...description, fields } as RegisterDescription, value >>> 0);
}
