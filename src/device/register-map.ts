import type { BitField, FieldSpans } from './bit-field.ts';
import type { RegisterKind, RegisterSpec, RegisterValue } from './register.ts';
import { describeRegister, type RegisterDescription } from './register-description.ts';
import type { AnyRegisterHooks } from './register-file.ts';
import { RegisterFile } from './register-file.ts';
import {
  compileLayout,
  type RegisterLayout,
  type RegisterPosition,
  registerAt,
} from './register-layout.ts';
import { type Registers, viewClass } from './registers.ts';

/** The rows of a datasheet by register name. */
export type RegisterSpecs = Readonly<Record<string, RegisterSpec>>;

type Narrow = 'u8' | 'u16' | 'u32';

interface ScalarReads<K extends RegisterKind> {
  /** Computes what a guest's read gives. */
  readonly read?: () => RegisterValue<K>;
}

interface ArrayReads<K extends RegisterKind> {
  /** Computes what a guest's read of element `index` gives. */
  readonly read?: (index: number) => RegisterValue<K>;
}

interface ScalarWrites {
  /** Maps what was written, merged with the lanes that were not, to what is kept. */
  readonly store?: (value: number) => number;
  /** Runs after the store, once per access, for effects. w1c and w1s registers see the ones that were written. */
  readonly write?: (value: number) => void;
}

interface ArrayWrites {
  /** Maps what was written to element `index` to what is kept. */
  readonly store?: (value: number, index: number) => number;
  /** Runs after the store, once per access and element, for effects. */
  readonly write?: (value: number, index: number) => void;
}

/** What `bind` takes for one register: `u64` and `gpa` take no `store` and no `write`. */
export type RegisterHooks<R extends RegisterSpec> =
  R extends RegisterSpec<infer K, FieldSpans, infer A>
    ? A extends true
      ? ArrayReads<K> & (K extends Narrow ? ArrayWrites : unknown)
      : ScalarReads<K> & (K extends Narrow ? ScalarWrites : unknown)
    : never;

/** Field accessors of one register. */
export type RegisterFields<R extends RegisterSpec> =
  R extends RegisterSpec<infer K, infer F, boolean>
    ? { readonly [N in keyof F]: BitField<RegisterValue<K>> }
    : never;

/** A datasheet: names, offsets and rules of a block of registers. Made by {@link registerMap}; holds no state. */
export class RegisterMap<S extends RegisterSpecs> {
  /** Bytes, a multiple of 4. */
  readonly size: number;
  /** All rows in order of declaration. */
  readonly registers: readonly RegisterDescription[];
  /** Offset of each register; of element 0 for arrays. */
  readonly offsets: { readonly [N in keyof S]: number };
  /** Accessors for the named bits: `EDU.fields.STATUS.MODE.get(value)`. */
  readonly fields: { readonly [N in keyof S]: RegisterFields<S[N]> };
  readonly #layout: RegisterLayout;
  readonly #makeView: (file: RegisterFile) => Registers<S>;

  /** Called by {@link registerMap}. */
  constructor(specs: S, { size = 0 }: { readonly size?: number } = {}) {
    this.registers = Object.entries(specs).map(([name, spec]) => describeRegister(name, spec));
    this.#layout = compileLayout(this.registers, size);
    this.size = this.#layout.size;
    const byName = <T>(value: (register: RegisterDescription) => T): Record<string, T> =>
      Object.fromEntries(this.registers.map((register) => [register.name, value(register)]));
    this.offsets = byName(({ offset }) => offset) as typeof this.offsets;
    this.fields = byName(({ fields }) => fields) as typeof this.fields;
    const View = viewClass(this.registers);
    this.#makeView = (file) => new View(file) as unknown as Registers<S>;
  }

  /**
   * Offset of a register, or of element `index` of an array.
   * @throws RangeError when there is no such register or element
   */
  offset(name: keyof S & string, index = 0): number {
    const register = this.registers.find((candidate) => candidate.name === name);
    if (register === undefined || !(index >= 0 && index < register.count)) {
      throw new RangeError(`Cannot find register ${name}[${index}]: the map has no such register`);
    }
    return register.offset + index * register.stride;
  }

  /** The register that contains a byte, and which element of it; undefined for a hole. Not for the hot path. */
  at(offset: number): RegisterPosition | undefined {
    return registerAt(this.registers, this.#layout, offset);
  }

  /** Name of the register that contains a byte (`STATUS`, `CHANNEL[3]`); undefined for a hole. */
  describe(offset: number): string | undefined {
    const found = this.at(offset);
    if (found === undefined) return undefined;
    return found.register.isArray ? `${found.register.name}[${found.index}]` : found.register.name;
  }

  /**
   * Makes the registers of one device instance.
   * @param hooks what happens beside storing, by register name
   * @throws TypeError when a hook names no register, or can never run
   */
  bind(hooks: { readonly [N in keyof S]?: RegisterHooks<S[N]> } = {}): Registers<S> {
    const given = hooks as Readonly<Record<string, AnyRegisterHooks | undefined>>;
    for (const name of Object.keys(given)) {
      if (!(name in this.offsets)) {
        throw new TypeError(`Cannot hook register ${name}: the map has no such register`);
      }
    }
    const list = this.registers.map((register) => checkHooks(register, given[register.name]));
    return this.#makeView(new RegisterFile(this.registers, this.#layout, list));
  }
}

/**
 * Declares a block of registers: the datasheet, from which the device, the trace, the inspector and the tests work.
 * @param options `size` in bytes, where the block is larger than its last register
 * @throws RangeError when two registers overlap (both are named), or an offset, reset value or field does not fit
 *
 * @example
 * ```ts
 * const TIMER = registerMap({
 *   CONTROL: u32(0x0, { fields: { ENABLE: bit(0), MODE: bits(4, 2) } }),
 *   COUNT: u32(0x4, { access: 'ro' }),
 * });
 * console.log(TIMER.size, TIMER.describe(0x4)); // 8 COUNT
 * ```
 */
export function registerMap<const S extends RegisterSpecs>(
  specs: S,
  options: { readonly size?: number } = {},
): RegisterMap<S> {
  return new RegisterMap(specs, options);
}

function checkHooks(
  { name, access, width }: RegisterDescription,
  hooks: AnyRegisterHooks | undefined,
): AnyRegisterHooks | undefined {
  if (hooks === undefined) return undefined;
  const refuse = (hook: string, reason: string): never => {
    throw new TypeError(`Cannot hook ${hook} of register ${name}: ${reason}`);
  };
  const writes = hooks.write !== undefined || hooks.store !== undefined;
  if (writes && width === 8) {
    refuse('writes', 'guests write 64 bits in two halves; put the effect on another register');
  }
  if (writes && (access === 'ro' || access === 'rc')) {
    refuse('writes', `guests cannot write it, as its access is '${access}'`);
  }
  if (hooks.read !== undefined && access === 'wo') {
    refuse('reads', "guests cannot read it, as its access is 'wo'");
  }
  if (hooks.store !== undefined && (access === 'w1c' || access === 'w1s')) {
    refuse('stores', `'${access}' already says what is kept`);
  }
  return hooks;
}
