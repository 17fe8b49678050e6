import { SddlError } from './sddl-error.ts';

/** A set of rights: 32 bits, unsigned (MS-DTYP, 2.4.3). */
export type AccessMask = number;

/** What a caller may ask of a compute system. */
export const Right = {
  /** Ask for properties, wait, hear of events. */
  READ: 0x8000_0000,
  /** Modify it, start processes in it. */
  WRITE: 0x4000_0000,
  /** Start, stop, pause, save it. */
  EXECUTE: 0x2000_0000,
  /** All of it: GENERIC_ALL, what HcsOpenComputeSystem asks for. */
  ALL: 0x1000_0000,
  /** End it for good. */
  DELETE: 0x0001_0000,
  /** Read its security descriptor. */
  READ_CONTROL: 0x0002_0000,
  /** Change its security descriptor. */
  WRITE_DAC: 0x0004_0000,
  /** Take it over. */
  WRITE_OWNER: 0x0008_0000,
} as const;

/** What FA, FR, FW and FX stand for, and GA, GR, GW and GX with them, as for files (winnt.h, FILE_ALL_ACCESS). */
const FILE_ALL = 0x001f_01ff;
const FILE_READ = 0x0012_0089;
const FILE_WRITE = 0x0012_0116;
const FILE_EXECUTE = 0x0012_00a0;

/** Rights in the order in which they are written (MS-DTYP, 2.5.1.1). */
const NAMES: Readonly<Record<string, AccessMask>> = {
  GA: Right.ALL,
  GR: Right.READ,
  GW: Right.WRITE,
  GX: Right.EXECUTE,
  RC: Right.READ_CONTROL,
  SD: Right.DELETE,
  WD: Right.WRITE_DAC,
  WO: Right.WRITE_OWNER,
  CC: 0x001,
  DC: 0x002,
  LC: 0x004,
  SW: 0x008,
  RP: 0x010,
  WP: 0x020,
  DT: 0x040,
  LO: 0x080,
  CR: 0x100,
};

/** Those that stand for several bits, which are written as a number. */
const SETS: Readonly<Record<string, AccessMask>> = {
  FA: FILE_ALL,
  FR: FILE_READ,
  FW: FILE_WRITE,
  FX: FILE_EXECUTE,
  KA: 0x000f_003f,
  KR: 0x0002_0019,
  KW: 0x0002_0006,
  KX: 0x0002_0019,
};

/** Bits that a mask of an entry may have: rights of the object, standard and generic ones, SYNCHRONIZE. */
const POSSIBLE = 0xf11f_ffff;

/**
 * Reads the rights of an entry: names of two letters in a row, or a number.
 * @throws SddlError
 */
export function parseMask(text: string, at: number): AccessMask {
  const upper = text.toUpperCase();
  if (/^\d/.test(upper)) return parseNumber(upper, at);
  let mask = 0;
  for (let i = 0; i < upper.length; i += 2) {
    const name = upper.slice(i, i + 2);
    const bits = Object.hasOwn(NAMES, name) ? NAMES[name] : Object.hasOwn(SETS, name) && SETS[name];
    if (typeof bits !== 'number') throw new SddlError(at + i, `"${name}" is no right`);
    mask |= bits;
  }
  return mask >>> 0;
}

function parseNumber(text: string, at: number): AccessMask {
  const [, octal] = /^0([0-7]{1,11})$/.exec(text) ?? [];
  const isOther = /^(?:0|[1-9]\d{0,9}|0X[\dA-F]{1,8})$/.test(text);
  const value = octal === undefined ? (isOther ? Number(text) : NaN) : Number.parseInt(octal, 8);
  if (value <= 0xffff_ffff && (value & ~POSSIBLE) === 0) return value;
  throw new SddlError(at, `"${text.slice(0, 40)}" is no set of rights`);
}

/** The text that {@link parseMask} reads as `mask`. */
export function formatMask(mask: AccessMask): string {
  let text = '';
  let rest = mask;
  for (const [name, bits] of Object.entries(NAMES)) {
    if ((rest & bits) === 0) continue;
    text += name;
    rest &= ~bits;
  }
  return rest === 0 ? text : `0x${mask.toString(16)}`;
}

/** Generic rights in terms of the others; a right to do all includes each of them. */
export function withoutGeneric(mask: AccessMask): AccessMask {
  let mapped = mask & 0x0fff_ffff;
  if (mask & Right.ALL) mapped |= FILE_ALL;
  if (mask & Right.READ) mapped |= FILE_READ;
  if (mask & Right.WRITE) mapped |= FILE_WRITE;
  if (mask & Right.EXECUTE) mapped |= FILE_EXECUTE;
  return mapped >>> 0;
}
