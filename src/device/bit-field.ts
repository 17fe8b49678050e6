/** Where a field lies in its register: `count` bits from bit `lsb` up. Made by {@link bit} and {@link bits}. */
export interface BitSpan {
  readonly lsb: number;
  readonly count: number;
}

/** Fields of one register, by name. */
export type FieldSpans = Readonly<Record<string, BitSpan>>;

/** One field of a register: takes its value out of a register value, and puts it in. */
export interface BitField<V extends number | bigint> extends BitSpan {
  /** Ones at the field's bits. */
  readonly mask: V;
  get(value: V): V;
  /** @returns `value` with this field replaced; bits of `field` that do not fit are dropped */
  set(value: V, field: V): V;
}

/**
 * A field of one bit.
 *
 * @example
 * ```ts
 * const STATUS = registerMap({ STATUS: u32(0, { fields: { READY: bit(0) } }) });
 * console.log(STATUS.fields.STATUS.READY.get(0x3)); // 1
 * ```
 */
export function bit(lsb: number): BitSpan {
  return bits(lsb, 1);
}

/**
 * A field of `count` bits, of which `lsb` is the lowest.
 *
 * @example
 * ```ts
 * const CONTROL = registerMap({ CONTROL: u32(0, { fields: { MODE: bits(4, 2) } }) });
 * console.log(CONTROL.fields.CONTROL.MODE.mask); // 0x30
 * ```
 */
export function bits(lsb: number, count: number): BitSpan {
  return { lsb, count };
}

/** The field of a register that is read as a number of at most 32 bits. */
export function narrowField({ lsb, count }: BitSpan): BitField<number> {
  const ones = count === 32 ? 0xffff_ffff : 2 ** count - 1;
  const mask = (ones << lsb) >>> 0;
  return {
    lsb,
    count,
    mask,
    get: (value) => (value & mask) >>> lsb,
    set: (value, field) => ((value & ~mask) | ((field << lsb) & mask)) >>> 0,
  };
}

/** The field of a 64-bit register that is read as a number: guest-physical addresses. */
export function addressField({ lsb, count }: BitSpan): BitField<number> {
  const unit = 2 ** lsb;
  const ones = 2 ** count;
  const get = (value: number): number => Math.floor(value / unit) % ones;
  return {
    lsb,
    count,
    mask: (ones - 1) * unit,
    get,
    set: (value, field) => value + ((((field % ones) + ones) % ones) - get(value)) * unit,
  };
}

/** The field of a register that is read as a bigint. */
export function wideField({ lsb, count }: BitSpan): BitField<bigint> {
  const shift = BigInt(lsb);
  const mask = ((1n << BigInt(count)) - 1n) << shift;
  return {
    lsb,
    count,
    mask,
    get: (value) => (value & mask) >> shift,
    set: (value, field) => (value & ~mask) | ((field << shift) & mask),
  };
}
