import { SddlError } from './sddl-error.ts';

/**
 * A security identifier as text: `S-1-`, the authority and at most 15 numbers (MS-DTYP, 2.4.2). Users and groups of Linux
 * are `S-1-22-1-UID` and `S-1-22-2-GID`, as Samba has them. Always in the form that {@link parseSid} gives, so that equal
 * ones are equal strings.
 */
export type Sid = string;

export const EVERYONE: Sid = 'S-1-1-0';
/** Root. */
export const LOCAL_SYSTEM: Sid = 'S-1-5-18';
/** In an entry: whoever owns the object, in place of what owners may do without one (MS-DTYP, 2.4.2.4). */
export const OWNER_RIGHTS: Sid = 'S-1-3-4';

const MOST_NUMBERS = 15;
const LARGEST_AUTHORITY = 2 ** 48 - 1;
const LARGEST_NUMBER = 2 ** 32 - 1;

/** Names of two letters (MS-DTYP, 2.5.1.1) that mean the same on every machine. */
const ALIASES: Readonly<Record<string, Sid>> = {
  AC: 'S-1-15-2-1',
  AN: 'S-1-5-7',
  AO: 'S-1-5-32-548',
  AU: 'S-1-5-11',
  BA: 'S-1-5-32-544',
  BG: 'S-1-5-32-546',
  BO: 'S-1-5-32-551',
  BU: 'S-1-5-32-545',
  CD: 'S-1-5-32-574',
  CG: 'S-1-3-1',
  CO: 'S-1-3-0',
  CY: 'S-1-5-32-569',
  ED: 'S-1-5-9',
  ER: 'S-1-5-32-573',
  ES: 'S-1-5-32-576',
  HA: 'S-1-5-32-578',
  HI: 'S-1-16-12288',
  IS: 'S-1-5-32-568',
  IU: 'S-1-5-4',
  LS: 'S-1-5-19',
  LU: 'S-1-5-32-559',
  LW: 'S-1-16-4096',
  ME: 'S-1-16-8192',
  MP: 'S-1-16-8448',
  MU: 'S-1-5-32-558',
  NO: 'S-1-5-32-556',
  NS: 'S-1-5-20',
  NU: 'S-1-5-2',
  OW: OWNER_RIGHTS,
  PO: 'S-1-5-32-550',
  PS: 'S-1-5-10',
  PU: 'S-1-5-32-547',
  RA: 'S-1-5-32-575',
  RC: 'S-1-5-12',
  RD: 'S-1-5-32-555',
  RE: 'S-1-5-32-552',
  RM: 'S-1-5-32-580',
  RU: 'S-1-5-32-554',
  SI: 'S-1-16-16384',
  SO: 'S-1-5-32-549',
  SU: 'S-1-5-6',
  SY: LOCAL_SYSTEM,
  UD: 'S-1-5-84-0-0-0-0-0',
  WD: EVERYONE,
  WR: 'S-1-5-33',
};

/** Those that need a domain of Windows, or a machine's own accounts. */
const OF_DOMAINS = 'AA AP CA CN DA DC DD DG DU EA EK KA LA LG PA RO RS SA'.split(' ');

export function userSid(uid: number): Sid {
  return `S-1-22-1-${uid}`;
}

export function groupSid(gid: number): Sid {
  return `S-1-22-2-${gid}`;
}

/** The uid of a user's identifier, root's included; undefined for anything else. */
export function uidOf(sid: Sid): number | undefined {
  if (sid === LOCAL_SYSTEM) return 0;
  const match = /^S-1-22-1-(\d+)$/.exec(sid);
  return match === null ? undefined : Number(match[1]);
}

/**
 * Reads an identifier or one of the names of two letters; either case will do.
 * @param at where in the text of a descriptor it begins, for the error
 * @throws SddlError
 */
export function parseSid(text: string, at = 0): Sid {
  const upper = text.toUpperCase();
  const alias = Object.hasOwn(ALIASES, upper) ? ALIASES[upper] : undefined;
  if (alias !== undefined) return alias;
  if (OF_DOMAINS.includes(upper)) {
    throw new SddlError(at, `"${text}" is of a domain of Windows, and there is none here`);
  }
  const [s, revision, authority = '', ...numbers] = upper.split('-', MOST_NUMBERS + 4);
  if (s !== 'S' || revision !== '1' || numbers.length === 0 || numbers.length > MOST_NUMBERS) {
    throw new SddlError(at, `"${shorten(text)}" is no security identifier`);
  }
  const parts = [
    whole(authority, LARGEST_AUTHORITY, at),
    ...numbers.map((number) => whole(number, LARGEST_NUMBER, at)),
  ];
  return `S-1-${parts.join('-')}`;
}

/** Decimal, or hexadecimal with 0x in front. */
function whole(text: string, largest: number, at: number): number {
  const value = /^(?:\d{1,15}|0X[\dA-F]{1,12})$/.test(text) ? Number(text) : Number.NaN;
  if (value <= largest) return value;
  throw new SddlError(
    at,
    `"${shorten(text)}" in a security identifier is no number up to ${largest}`,
  );
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
