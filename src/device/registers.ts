import type { FieldSpans } from './bit-field.ts';
import type { MmioRegion, Width } from './mmio-region.ts';
import { REGION } from './region-identity.ts';
import type { RegisterKind, RegisterSpec, RegisterValue } from './register.ts';
import type { RegisterDescription } from './register-description.ts';
import type { RegisterFile } from './register-file.ts';

/** Elements of a register array, raw. Reading past the end gives undefined; writing past it does nothing. */
export interface RegisterArray<V extends number | bigint> {
  readonly length: number;
  [index: number]: V;
}

/** The registers of one instance: raw values by name, and a region for a BAR. */
export type Registers<S extends Readonly<Record<string, RegisterSpec>>> = RegisterBlock & {
  -readonly [N in keyof S as S[N] extends RegisterSpec<RegisterKind, FieldSpans, true>
    ? never
    : N]: S[N] extends RegisterSpec<infer K, FieldSpans, boolean> ? RegisterValue<K> : never;
} & {
  readonly [N in keyof S as S[N] extends RegisterSpec<RegisterKind, FieldSpans, true>
    ? N
    : never]: S[N] extends RegisterSpec<infer K, FieldSpans, boolean>
    ? RegisterArray<RegisterValue<K>>
    : never;
};

/** What bound registers are to a BAR. `read` and `write` are a guest's accesses, hooks and access rules included. */
export interface RegisterBlock extends MmioRegion {
  /** Puts all registers to their reset values; runs no hook. */
  reset(): void;
  /** Values by register name; those of 64-bit registers as hexadecimal text. */
  save(): SavedRegisters;
  /** @throws TypeError when `state` is not what `save` gave for this map, as far as it says something */
  restore(state: unknown): void;
}

/** Raw values by register name. */
export type SavedRegisters = Record<string, number | string | (number | string)[]>;

type View = new (file: RegisterFile) => RegisterBlock;

/** Makes the class whose instances have a property per register. One per map. */
export function viewClass(registers: readonly RegisterDescription[]): View {
  const View = class extends BoundRegisters {};
  for (const register of registers) {
    const property: PropertyDescriptor = register.isArray
      ? {
          get(this: BoundRegisters) {
            return this[ELEMENTS](register);
          },
        }
      : scalar[register.kind](register.offset);
    Object.defineProperty(View.prototype, register.name, { ...property, enumerable: true });
  }
  return View;
}

/** Keeps the method below out of the way of registers' names. */
const ELEMENTS = Symbol('elements');

class BoundRegisters implements RegisterBlock {
  readonly [REGION]: RegisterFile;
  readonly #arrays = new Map<string, RegisterArray<number> | RegisterArray<bigint>>();

  constructor(file: RegisterFile) {
    this[REGION] = file;
  }

  get size(): number {
    return this[REGION].size;
  }

  read(offset: number, width: Width): number {
    return this[REGION].read(offset, width);
  }

  write(offset: number, width: Width, value: number): void {
    this[REGION].write(offset, width, value);
  }

  reset(): void {
    this[REGION].reset();
  }

  save(): SavedRegisters {
    const file = this[REGION];
    const values = file.registers.map((register): [string, SavedRegisters[string]] => {
      const elements = offsetsOf(register).map((offset) => saveOne(file, register.width, offset));
      return [register.name, register.isArray ? elements : (elements[0] as number | string)];
    });
    return Object.fromEntries(values);
  }

  restore(state: unknown): void {
    const file = this[REGION];
    const known = new Map(file.registers.map((register) => [register.name, register]));
    const writes: [number, number, bigint][] = [];
    if (typeof state !== 'object' || state === null) {
      throw new TypeError(`Cannot restore registers from ${String(state)}: not an object`);
    }
    for (const [name, saved] of Object.entries(state)) {
      const register = known.get(name);
      if (register === undefined) {
        throw new TypeError(`Cannot restore register ${name}: the map has no such register`);
      }
      const values: unknown[] = register.isArray && Array.isArray(saved) ? saved : [saved];
      if (values.length !== register.count) {
        throw new TypeError(
          `Cannot restore register ${name}: it has ${register.count} elements, the snapshot ${values.length}`,
        );
      }
      offsetsOf(register).forEach((offset, index) => {
        writes.push([register.width, offset, parseOne(register, values[index])]);
      });
    }
    file.reset();
    for (const [width, offset, value] of writes) {
      for (let byte = 0; byte < width; byte++) {
        file.bytes[offset + byte] = Number((value >> BigInt(byte * 8)) & 0xffn);
      }
    }
  }

  /** The elements of an array register: made once, then the same object. */
  [ELEMENTS](register: RegisterDescription): RegisterArray<number> | RegisterArray<bigint> {
    const known = this.#arrays.get(register.name);
    if (known !== undefined) return known;
    const made = elementsOf(this[REGION], register);
    this.#arrays.set(register.name, made);
    return made;
  }
}

const offsetsOf = ({ offset, count, stride }: RegisterDescription): number[] =>
  Array.from({ length: count }, (_, index) => offset + index * stride);

function saveOne(file: RegisterFile, width: number, offset: number): number | string {
  if (width === 8) return `0x${readers.u64(file, offset).toString(16)}`;
  return width === 4
    ? (file.words[offset >>> 2] as number)
    : width === 2
      ? (file.halves[offset >>> 1] as number)
      : (file.bytes[offset] as number);
}

function parseOne({ name, width }: RegisterDescription, value: unknown): bigint {
  const valid =
    typeof value === 'number'
      ? Number.isSafeInteger(value) && value >= 0
      : typeof value === 'string' && /^0x[0-9a-f]{1,16}$/i.test(value);
  const parsed = valid ? BigInt(value as number | string) : -1n;
  if (parsed < 0n || parsed >> BigInt(width * 8) !== 0n) {
    throw new TypeError(
      `Cannot restore register ${name}: ${JSON.stringify(value)} is not a value of ${width * 8} bits`,
    );
  }
  return parsed;
}

const readers = {
  u8: (file: RegisterFile, offset: number): number => file.bytes[offset] as number,
  u16: (file: RegisterFile, offset: number): number => file.halves[offset >>> 1] as number,
  u32: (file: RegisterFile, offset: number): number => file.words[offset >>> 2] as number,
  gpa: ({ words }: RegisterFile, offset: number): number =>
    (words[(offset >>> 2) + 1] as number) * 2 ** 32 + (words[offset >>> 2] as number),
  u64: ({ words }: RegisterFile, offset: number): bigint =>
    (BigInt(words[(offset >>> 2) + 1] as number) << 32n) | BigInt(words[offset >>> 2] as number),
};

const writers: Record<RegisterKind, (file: RegisterFile, offset: number, value: never) => void> = {
  u8: (file, offset, value: number) => {
    file.bytes[offset] = value;
  },
  u16: (file, offset, value: number) => {
    file.halves[offset >>> 1] = value;
  },
  u32: (file, offset, value: number) => {
    file.words[offset >>> 2] = value;
  },
  gpa: ({ words }, offset, value: number) => {
    words[offset >>> 2] = value;
    words[(offset >>> 2) + 1] = Math.floor(value / 2 ** 32);
  },
  u64: ({ words }, offset, value: bigint) => {
    words[offset >>> 2] = Number(BigInt.asUintN(32, value));
    words[(offset >>> 2) + 1] = Number(BigInt.asUintN(32, value >> 32n));
  },
};

/** One accessor per kind, with its index worked out: devices read their registers on the path per access too. */
const scalar: Record<RegisterKind, (offset: number) => PropertyDescriptor> = {
  u8: (offset) => ({
    get(this: BoundRegisters) {
      return this[REGION].bytes[offset];
    },
    set(this: BoundRegisters, value: number) {
      this[REGION].bytes[offset] = value;
    },
  }),
  u16: (offset) => {
    const half = offset >>> 1;
    return {
      get(this: BoundRegisters) {
        return this[REGION].halves[half];
      },
      set(this: BoundRegisters, value: number) {
        this[REGION].halves[half] = value;
      },
    };
  },
  u32: (offset) => {
    const word = offset >>> 2;
    return {
      get(this: BoundRegisters) {
        return this[REGION].words[word];
      },
      set(this: BoundRegisters, value: number) {
        this[REGION].words[word] = value;
      },
    };
  },
  gpa: (offset) => ({
    get(this: BoundRegisters) {
      return readers.gpa(this[REGION], offset);
    },
    set(this: BoundRegisters, value: number) {
      writers.gpa(this[REGION], offset, value as never);
    },
  }),
  u64: (offset) => ({
    get(this: BoundRegisters) {
      return readers.u64(this[REGION], offset);
    },
    set(this: BoundRegisters, value: bigint) {
      writers.u64(this[REGION], offset, value as never);
    },
  }),
};

/** Found only where an array has no element; as a typed array, it takes writes there in silence. */
const pastTheEnd = new Proxy(Object.create(null), { get: () => undefined, set: () => true });

/** A typed array where elements touch each other, else an object with a property per element. */
function elementsOf(
  file: RegisterFile,
  { kind, offset, count, stride, width }: RegisterDescription,
): RegisterArray<number> | RegisterArray<bigint> {
  const { buffer } = file.words;
  if (stride === width && kind === 'u8') return new Uint8Array(buffer, offset, count);
  if (stride === width && kind === 'u16') return new Uint16Array(buffer, offset, count);
  if (stride === width && kind === 'u32') return new Uint32Array(buffer, offset, count);
  const elements = Object.create(pastTheEnd, { length: { value: count } }) as RegisterArray<number>;
  for (let index = 0; index < count; index++) {
    const at = offset + index * stride;
    Object.defineProperty(elements, index, {
      get: () => readers[kind](file, at),
      set: (value: number | bigint) => writers[kind](file, at, value as never),
      enumerable: true,
    });
  }
  return Object.preventExtensions(elements);
}
