import type { FieldSpans } from './bit-field.ts';

/** How many bits a register has; `gpa` is a 64-bit register that holds a guest-physical address, as a number. */
export type RegisterKind = 'u8' | 'u16' | 'u32' | 'u64' | 'gpa';

/**
 * What a guest can do to a register: read and write, read, write (reads 0), write one to clear, write one to set,
 * read to clear.
 */
export type RegisterAccess = 'rw' | 'ro' | 'wo' | 'w1c' | 'w1s' | 'rc';

/** What a register of a kind holds: u64 a bigint, all others a number. */
export type RegisterValue<K extends RegisterKind> = K extends 'u64' ? bigint : number;

/** What a register may say besides its offset. */
export interface RegisterOptions<V extends number | bigint, F extends FieldSpans> {
  /** Default `'rw'`. */
  readonly access?: RegisterAccess;
  /** Value after construction and after each reset; default 0. */
  readonly reset?: V;
  /** Bits that a guest's write can change (for w1c and w1s: act on); default all. */
  readonly writable?: V;
  /** Names of bits, for the device, the trace and the inspector. */
  readonly fields?: F;
}

/** Makes a register an array of registers. */
export interface ArrayOptions {
  /** How many there are. */
  readonly count: number;
  /** Bytes from one to the next; default the register's width. */
  readonly stride?: number;
}

/** One row of the datasheet, made by {@link u8}, {@link u16}, {@link u32}, {@link u64} or {@link gpa}. */
export interface RegisterSpec<
  K extends RegisterKind = RegisterKind,
  F extends FieldSpans = FieldSpans,
  A extends boolean = boolean,
> {
  readonly kind: K;
  /** Bytes from the start of the map. */
  readonly offset: number;
  /** Bytes. */
  readonly width: 1 | 2 | 4 | 8;
  readonly isArray: A;
  readonly options: RegisterOptions<RegisterValue<K>, F> & Partial<ArrayOptions>;
}

type NoFields = Record<never, never>;

/** What {@link u8} and its siblings are: a function from offset and options to a row of the datasheet. */
export interface RegisterConstructor<K extends RegisterKind> {
  <F extends FieldSpans = NoFields>(
    offset: number,
    options: RegisterOptions<RegisterValue<K>, F> & ArrayOptions,
  ): RegisterSpec<K, F, true>;
  <F extends FieldSpans = NoFields>(
    offset: number,
    options?: RegisterOptions<RegisterValue<K>, F>,
  ): RegisterSpec<K, F, false>;
}

function register<K extends RegisterKind>(kind: K, width: 1 | 2 | 4 | 8): RegisterConstructor<K> {
  const make = (
    offset: number,
    options: RegisterOptions<RegisterValue<K>, FieldSpans> & Partial<ArrayOptions> = {},
  ): RegisterSpec<K> => ({ kind, offset, width, isArray: options.count !== undefined, options });
  return make as RegisterConstructor<K>;
}

/** An 8-bit register at a byte offset. */
export const u8: RegisterConstructor<'u8'> = register('u8', 1);

/** A 16-bit register at an even offset. */
export const u16: RegisterConstructor<'u16'> = register('u16', 2);

/** A 32-bit register at an offset that is a multiple of 4. */
export const u32: RegisterConstructor<'u32'> = register('u32', 4);

/**
 * A 64-bit register at an offset that is a multiple of 4; the device sees a bigint. Guests write it in two halves, so
 * it takes no `write` hook: put the effect on the register that starts the work.
 */
export const u64: RegisterConstructor<'u64'> = register('u64', 8);

/**
 * A 64-bit register that holds a guest-physical address; the device sees a number. An address of 2^53 or more is
 * outside any guest's memory and is refused where it is used. Takes no `write` hook, like {@link u64}.
 */
export const gpa: RegisterConstructor<'gpa'> = register('gpa', 8);
