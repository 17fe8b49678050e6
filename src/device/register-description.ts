import {
  addressField,
  type BitField,
  type BitSpan,
  type FieldSpans,
  narrowField,
  wideField,
} from './bit-field.ts';
import type { RegisterAccess, RegisterKind, RegisterSpec } from './register.ts';

/** One row of a register map with all defaults filled in, for traces, inspectors and tests. */
export interface RegisterDescription {
  readonly name: string;
  readonly kind: RegisterKind;
  /** Bytes from the start of the map; of element 0 for arrays. */
  readonly offset: number;
  /** Bytes. */
  readonly width: 1 | 2 | 4 | 8;
  readonly access: RegisterAccess;
  readonly reset: number | bigint;
  /** Bits that a guest's write can change; 0 for `ro` and `rc`. */
  readonly writable: number | bigint;
  readonly fields: Readonly<Record<string, BitField<number> | BitField<bigint>>>;
  /** 1 for a register that is not an array. */
  readonly count: number;
  /** Bytes from one element to the next. */
  readonly stride: number;
  readonly isArray: boolean;
}

/** Names that a register cannot have, as the bound registers are also a region. */
const TAKEN = new Set(['size', 'read', 'write', 'reset', 'save', 'restore', 'constructor', 'then']);

/**
 * Checks one row and fills in its defaults.
 * @throws TypeError or RangeError that names the register
 */
export function describeRegister(name: string, spec: RegisterSpec): RegisterDescription {
  const fail = (reason: string): never => {
    throw new RangeError(`Cannot declare register ${name}: ${reason}`);
  };
  if (!/^[A-Za-z_$][\w$]*$/.test(name) || TAKEN.has(name)) {
    throw new TypeError(
      `Cannot name a register ${JSON.stringify(name)}: names are identifiers, and not ${[...TAKEN].join(', ')}`,
    );
  }
  const { kind, offset, width, options } = spec;
  const { access = 'rw', count = 1, stride = width, fields = {} } = options;
  const alignment = Math.min(width, 4);
  const aligned = (bytes: number): boolean =>
    Number.isSafeInteger(bytes) && bytes >= 0 && bytes < 2 ** 31 && bytes % alignment === 0;
  if (!aligned(offset))
    fail(`offset ${offset} is not a multiple of ${alignment} from 0 to 2^31 - 1`);
  if (!aligned(stride) || stride < width) {
    fail(`stride ${stride} is not a multiple of ${alignment} of at least ${width}`);
  }
  if (!Number.isInteger(count) || count < 1) fail(`count ${count} is not a positive integer`);
  const bits = width * 8;
  for (const [field, { lsb, count: length }] of Object.entries(fields)) {
    if (!Number.isInteger(lsb) || !Number.isInteger(length) || lsb < 0 || length < 1) {
      fail(`field ${field} is not a run of bits`);
    }
    if (lsb + length > bits) fail(`field ${field} ends at bit ${lsb + length - 1} of ${bits}`);
  }
  const value = (given: number | bigint, what: string, isMask: boolean): number | bigint => {
    const all = (1n << BigInt(bits)) - 1n;
    if (typeof given === 'number' && !Number.isSafeInteger(given)) {
      fail(`${what} ${given} is not an integer`);
    }
    // Masks are written with `~` and `|`, whose results are signed.
    const unsigned = BigInt(given) < 0n ? BigInt.asUintN(bits, BigInt(given)) : BigInt(given);
    if (!isMask && unsigned > all) fail(`${what} 0x${unsigned.toString(16)} has over ${bits} bits`);
    const kept = unsigned & all;
    return kind === 'u64' || kept > Number.MAX_SAFE_INTEGER ? kept : Number(kept);
  };
  const closed = access === 'ro' || access === 'rc';
  return {
    name,
    kind,
    offset,
    width,
    access,
    reset: value(options.reset ?? 0, 'reset', false),
    writable: value(closed ? 0 : (options.writable ?? -1), 'writable', true),
    fields: describeFields(kind, fields),
    count,
    stride,
    isArray: spec.isArray,
  };
}

function describeFields(
  kind: RegisterKind,
  spans: FieldSpans,
): Readonly<Record<string, BitField<number> | BitField<bigint>>> {
  const make: (span: BitSpan) => BitField<number> | BitField<bigint> =
    kind === 'u64' ? wideField : kind === 'gpa' ? addressField : narrowField;
  return Object.fromEntries(Object.entries(spans).map(([name, span]) => [name, make(span)]));
}
