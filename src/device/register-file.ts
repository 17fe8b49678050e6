import type { MmioRegion, Width } from './mmio-region.ts';
import { refusePromise } from './promise-check.ts';
import type { RegisterDescription } from './register-description.ts';
import { type RegisterLayout, type RegisterPosition, registerAt } from './register-layout.ts';

/** Computes what a guest's read gives; sees the element's index for arrays. */
export type ReadHook = (index: number) => number | bigint;

/** Maps what was written to what is kept. */
export type StoreHook = (value: number, index: number) => number;

/** Runs after the store, for effects. */
export type WriteHook = (value: number, index: number) => unknown;

/** Hooks of one register. */
export interface AnyRegisterHooks {
  readonly read?: ReadHook;
  readonly store?: StoreHook;
  readonly write?: WriteHook;
}

/** Flags of a dword; 0 is a plain typed-array access. */
const READ = 1;
const READ_HOOK = 2;
const WRITE = 4;
const WRITE_HOOK = 8;

/**
 * Lanes of an access by width, before it is shifted into place. Signed, as are all lane masks here: 0xffffffff as an
 * argument would be a heap object.
 */
const LANES = Int32Array.of(0, 0xff, 0xffff, 0, -1);

/**
 * The registers of one instance: one class for all maps, so that the place that dispatches sees one shape. State is
 * typed arrays; a flag byte per dword says whether an access may touch them directly.
 */
export class RegisterFile implements MmioRegion {
  readonly size: number;
  /** What is read and written raw: three views of one buffer. */
  readonly words: Uint32Array;
  readonly halves: Uint16Array;
  readonly bytes: Uint8Array;
  readonly registers: readonly RegisterDescription[];
  readonly #layout: RegisterLayout;
  readonly #flags: Uint8Array;
  readonly #hooks: readonly (AnyRegisterHooks | undefined)[];

  constructor(
    registers: readonly RegisterDescription[],
    layout: RegisterLayout,
    hooks: readonly (AnyRegisterHooks | undefined)[],
  ) {
    this.size = layout.size;
    this.words = layout.reset.slice();
    this.halves = new Uint16Array(this.words.buffer);
    this.bytes = new Uint8Array(this.words.buffer);
    this.registers = registers;
    this.#layout = layout;
    this.#hooks = hooks;
    this.#flags = flagsOf(layout, hooks);
  }

  read(offset: number, width: Width): number {
    if ((offset & (width - 1)) !== 0 || offset >= this.size) return this.#readAcross(offset, width);
    const dword = offset >>> 2;
    if ((this.#flags[dword]! & (READ | READ_HOOK)) === 0) {
      if (width === 4) return this.words[dword]!;
      return width === 2 ? this.halves[offset >>> 1]! : this.bytes[offset]!;
    }
    return this.#readAcross(offset, width);
  }

  write(offset: number, width: Width, value: number): void {
    if ((offset & (width - 1)) !== 0 || offset >= this.size) {
      this.#writeAcross(offset, width, value);
      return;
    }
    const dword = offset >>> 2;
    if ((this.#flags[dword]! & (WRITE | WRITE_HOOK)) === 0) {
      if (width === 4) this.words[dword] = value;
      else if (width === 2) this.halves[offset >>> 1] = value;
      else this.bytes[offset] = value;
      return;
    }
    const shift = (offset & 3) << 3;
    this.#writeDword(dword, LANES[width]! << shift, value << shift);
  }

  reset(): void {
    this.words.set(this.#layout.reset);
  }

  /** The register that contains a byte, and which element of it; undefined for a hole. Not for the hot path. */
  at(offset: number): RegisterPosition | undefined {
    return registerAt(this.registers, this.#layout, offset);
  }

  /** Any access, also a misaligned one or one that leaves the map: a guest may do either. */
  #readAcross(offset: number, width: Width): number {
    const shift = (offset & 3) << 3;
    const dword = offset >>> 2;
    const all = LANES[width]!;
    let value = 0;
    if (dword < this.words.length) {
      value = (this.#readDword(dword, all << shift) >>> shift) & all;
    }
    const rest = shift === 0 ? 0 : all >>> (32 - shift);
    if (rest !== 0 && dword + 1 < this.words.length) {
      value |= (this.#readDword(dword + 1, rest) & rest) << (32 - shift);
    }
    return value >>> 0;
  }

  #writeAcross(offset: number, width: Width, value: number): void {
    const shift = (offset & 3) << 3;
    const dword = offset >>> 2;
    const all = LANES[width]!;
    if (dword < this.words.length) this.#writeDword(dword, all << shift, value << shift);
    const rest = shift === 0 ? 0 : all >>> (32 - shift);
    if (rest !== 0 && dword + 1 < this.words.length) {
      this.#writeDword(dword + 1, rest, (value & all) >>> (32 - shift));
    }
  }

  #readDword(dword: number, lanes: number): number {
    const layout = this.#layout;
    let value = this.words[dword]! & ~layout.wo[dword]!;
    if ((this.#flags[dword]! & READ_HOOK) !== 0) value = this.#readHooks(dword, lanes, value);
    const cleared = layout.rc[dword]! & lanes;
    if (cleared !== 0) this.words[dword] = this.words[dword]! & ~cleared;
    return value;
  }

  #readHooks(dword: number, lanes: number, plain: number): number {
    const layout = this.#layout;
    let value = plain;
    for (let lane = 0; lane < 4; ) {
      const slot = layout.owner[dword * 4 + lane]!;
      const width = Math.min(layout.slotWidth[slot]!, 4);
      if (slot === 0) {
        lane++;
        continue;
      }
      const mask = LANES[width]! << (lane * 8);
      const declaration = layout.slotRegister[slot]!;
      const hooks = this.#hooks[declaration];
      if (hooks?.read !== undefined && (mask & lanes) !== 0) {
        const half = dword * 4 - layout.slotOffset[slot]!;
        const word = this.#computed(declaration, hooks.read(layout.slotIndex[slot]!), half);
        value = (value & ~mask) | ((word << (lane * 8)) & mask);
      }
      lane += width;
    }
    return value;
  }

  #computed(declaration: number, result: number | bigint, half: number): number {
    if (typeof result === 'bigint')
      return Number((result >> BigInt(half > 0 ? 32 : 0)) & 0xffff_ffffn);
    if (typeof result !== 'number') {
      const { name } = this.registers[declaration]!;
      refusePromise(result, `the read hook of ${name}`);
      throw new TypeError(`Cannot read ${name}: its read hook returned ${String(result)}`);
    }
    return half > 0 ? Math.floor(result / 2 ** 32) : result;
  }

  #writeDword(dword: number, lanes: number, value: number): void {
    const layout = this.#layout;
    const old = this.words[dword]!;
    const replaced = layout.rw[dword]! & lanes;
    const acted = value & lanes & (layout.w1c[dword]! | layout.w1s[dword]!);
    const kept = (old & ~replaced) | (value & replaced);
    this.words[dword] = (kept & ~(acted & layout.w1c[dword]!)) | (acted & layout.w1s[dword]!);
    if ((this.#flags[dword]! & WRITE_HOOK) !== 0) this.#writeHooks(dword, lanes, kept, acted);
  }

  /** Stores first, then effects, each in order of offset: an effect sees the whole access done. */
  #writeHooks(dword: number, lanes: number, kept: number, acted: number): void {
    const { owner, slotRegister, slotIndex, slotWidth } = this.#layout;
    for (let pass = 0; pass < 2; pass++) {
      for (let lane = 0; lane < 4; ) {
        const slot = owner[dword * 4 + lane]!;
        if (slot === 0) {
          lane++;
          continue;
        }
        const width = Math.min(slotWidth[slot]!, 4);
        const shift = lane * 8;
        lane += width;
        const mask = LANES[width]! << shift;
        const hooks = this.#hooks[slotRegister[slot]!];
        if (hooks === undefined || (mask & lanes) === 0) continue;
        const { access, name } = this.registers[slotRegister[slot]!]!;
        const source = access === 'w1c' || access === 'w1s' ? acted : kept;
        const value = ((source & mask) >>> shift) >>> 0;
        if (pass === 0 && hooks.store !== undefined) {
          const stored = hooks.store(value, slotIndex[slot]!);
          if (typeof stored !== 'number') {
            refusePromise(stored, `the store hook of ${name}`);
            throw new TypeError(`Cannot store ${name}: its store hook returned ${String(stored)}`);
          }
          this.words[dword] = (this.words[dword]! & ~mask) | ((stored << shift) & mask);
        } else if (pass === 1 && hooks.write !== undefined) {
          const result = hooks.write(value, slotIndex[slot]!);
          if (typeof result === 'object') refusePromise(result, `the write hook of ${name}`);
        }
      }
    }
  }
}

function flagsOf(
  layout: RegisterLayout,
  hooks: readonly (AnyRegisterHooks | undefined)[],
): Uint8Array {
  const flags = new Uint8Array(layout.size / 4);
  for (let dword = 0; dword < flags.length; dword++) {
    let flag = layout.rw[dword] === 0xffff_ffff ? 0 : WRITE;
    if ((layout.wo[dword]! | layout.rc[dword]!) !== 0) flag |= READ;
    for (let lane = 0; lane < 4; lane++) {
      const slot = layout.owner[dword * 4 + lane]!;
      const hook = slot === 0 ? undefined : hooks[layout.slotRegister[slot]!];
      if (hook?.read !== undefined) flag |= READ_HOOK;
      if (hook?.store !== undefined || hook?.write !== undefined) flag |= WRITE_HOOK;
    }
    flags[dword] = flag;
  }
  return flags;
}
