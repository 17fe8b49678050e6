/**
 * The datasheet compiled to typed arrays: what the path per access needs, shared by all instances of a map.
 *
 * | array | per | holds |
 * |---|---|---|
 * | reset | dword | value after reset |
 * | rw, w1c, w1s | dword | bits a guest's write replaces, clears, sets |
 * | wo, rc | dword | bits that read as 0, bits that a read clears |
 * | owner | byte | slot of the register at this byte; 0 for a hole |
 * | slotX | slot | one register, or one element of an array: declaration, index, offset, width |
 */
import type { RegisterAccess } from './register.ts';
import type { RegisterDescription } from './register-description.ts';

/** A compiled register map. */
export interface RegisterLayout {
  /** Bytes, a multiple of 4. */
  readonly size: number;
  readonly reset: Uint32Array;
  readonly rw: Uint32Array;
  readonly w1c: Uint32Array;
  readonly w1s: Uint32Array;
  readonly wo: Uint32Array;
  readonly rc: Uint32Array;
  readonly owner: Uint16Array;
  readonly slotRegister: Uint16Array;
  readonly slotIndex: Uint16Array;
  readonly slotOffset: Uint32Array;
  readonly slotWidth: Uint8Array;
}

/**
 * Compiles descriptions.
 * @throws RangeError when two registers share a byte (both are named), or there are too many
 */
export function compileLayout(
  registers: readonly RegisterDescription[],
  minimumSize: number,
): RegisterLayout {
  const end = registers.reduce((most, r) => Math.max(most, lastByte(r)), minimumSize);
  const size = Math.ceil(end / 4) * 4;
  const slots = registers.reduce((sum, r) => sum + r.count, 1);
  if (slots > 0xffff) {
    throw new RangeError(
      `Cannot have ${slots - 1} registers in a map as it takes 65534; use ram or doorbells for tables`,
    );
  }
  const words = (): Uint32Array => new Uint32Array(size / 4);
  const layout: RegisterLayout = {
    size,
    reset: words(),
    rw: words(),
    w1c: words(),
    w1s: words(),
    wo: words(),
    rc: words(),
    owner: new Uint16Array(size),
    slotRegister: new Uint16Array(slots),
    slotIndex: new Uint16Array(slots),
    slotOffset: new Uint32Array(slots),
    slotWidth: new Uint8Array(slots),
  };
  let slot = 1;
  registers.forEach((register, declaration) => {
    for (let index = 0; index < register.count; index++) {
      place(layout, registers, declaration, index, slot++);
    }
  });
  return layout;
}

const lastByte = ({ offset, width, count, stride }: RegisterDescription): number =>
  offset + (count - 1) * stride + width;

function place(
  layout: RegisterLayout,
  registers: readonly RegisterDescription[],
  declaration: number,
  index: number,
  slot: number,
): void {
  const register = registers[declaration] as RegisterDescription;
  const offset = register.offset + index * register.stride;
  layout.slotRegister[slot] = declaration;
  layout.slotIndex[slot] = index;
  layout.slotOffset[slot] = offset;
  layout.slotWidth[slot] = register.width;
  for (let byte = 0; byte < register.width; byte++) {
    const other = layout.owner[offset + byte] as number;
    if (other !== 0) {
      const first = registers[layout.slotRegister[other] as number] as RegisterDescription;
      throw new RangeError(
        `Cannot place register ${register.name} at 0x${offset.toString(16)}: it overlaps ${first.name} at 0x${layout.slotOffset[other]?.toString(16)}`,
      );
    }
    layout.owner[offset + byte] = slot;
    const shift = BigInt(byte * 8);
    const writable = Number((BigInt(register.writable) >> shift) & 0xffn);
    const reset = Number((BigInt(register.reset) >> shift) & 0xffn);
    putByte(layout.reset, offset + byte, reset);
    const target = targetOf(layout, register.access);
    if (target !== undefined) putByte(target, offset + byte, writable);
    if (register.access === 'wo') putByte(layout.wo, offset + byte, 0xff);
    if (register.access === 'rc') putByte(layout.rc, offset + byte, 0xff);
  }
}

function targetOf(layout: RegisterLayout, access: RegisterAccess): Uint32Array | undefined {
  if (access === 'w1c') return layout.w1c;
  if (access === 'w1s') return layout.w1s;
  return access === 'rw' || access === 'wo' ? layout.rw : undefined;
}

function putByte(words: Uint32Array, offset: number, value: number): void {
  const dword = offset >>> 2;
  words[dword] = (words[dword] as number) | (value << ((offset & 3) * 8));
}

/** A register, and which element of it. */
export interface RegisterPosition {
  readonly register: RegisterDescription;
  /** 0 for a register that is not an array. */
  readonly index: number;
}

/** The register that contains a byte; undefined for a hole. */
export function registerAt(
  registers: readonly RegisterDescription[],
  layout: RegisterLayout,
  offset: number,
): RegisterPosition | undefined {
  const slot = layout.owner[offset] ?? 0;
  const register = registers[layout.slotRegister[slot] as number];
  if (slot === 0 || register === undefined) return undefined;
  return { register, index: layout.slotIndex[slot] as number };
}
