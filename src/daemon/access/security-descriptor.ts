import { type AccessMask, formatMask, parseMask } from './access-mask.ts';
import { SddlError } from './sddl-error.ts';
import { parseSid, type Sid } from './sid.ts';

/** An entry of a list: who may, or may not, do what. */
export interface AccessEntry {
  readonly type: 'allow' | 'deny';
  /** Whether it is only for what is created below, of which compute systems have nothing: it says nothing then. */
  readonly isInheritOnly: boolean;
  readonly mask: AccessMask;
  readonly sid: Sid;
}

/** Who owns a compute system, and who may do what with it. */
export interface SecurityDescriptor {
  readonly owner: Sid | undefined;
  readonly group: Sid | undefined;
  /** In the order in which they are looked at. `'everyone'`: no control at all; undefined: the text has no list. */
  readonly entries: readonly AccessEntry[] | 'everyone' | undefined;
}

/** A list of Windows has 64 KiB at most: no text that means one is longer. */
export const LONGEST_SDDL = 256 * 1024;

const TYPES: Readonly<Record<string, AccessEntry['type']>> = {
  A: 'allow',
  D: 'deny',
  OA: 'allow',
  OD: 'deny',
};
/** Types for a list of the system: what is to be recorded, and labels. */
const SYSTEM_TYPES = ['AU', 'AL', 'OU', 'OL', 'ML', 'TL', 'SP'];
const ENTRY_FLAGS = ['CI', 'OI', 'NP', 'IO', 'ID', 'SA', 'FA', 'TP', 'CR'];
const LIST_FLAGS = ['P', 'AR', 'AI'];
const NO_ACCESS_CONTROL = 'NO_ACCESS_CONTROL';

/**
 * Reads a security descriptor in the string format (MS-DTYP, 2.5.1): `O:`, `G:`, `D:` and `S:`, each at most once, in any
 * order and either case. The system's list is read and has no effect: all that is done is recorded, and Linux has no
 * integrity levels. Entries with a condition, or for a part of an object, are refused, as they could not be honoured.
 * Takes time in proportion to the text, which has {@link LONGEST_SDDL} characters at most.
 * @throws SddlError
 */
export function parseSddl(text: string): SecurityDescriptor {
  if (text.length > LONGEST_SDDL) {
    throw new SddlError(LONGEST_SDDL, `it goes on: it has ${text.length} characters`);
  }
  const found: { O?: Sid; G?: Sid; D?: readonly AccessEntry[] | 'everyone'; S?: true } = {};
  let at = 0;
  while (at < text.length) {
    const part = text[at]!.toUpperCase();
    if (text[at + 1] !== ':' || !(part === 'O' || part === 'G' || part === 'D' || part === 'S')) {
      throw new SddlError(
        at,
        `there is "${text.slice(at, at + 10)}" where O:, G:, D: or S: should be`,
      );
    }
    if (part in found) throw new SddlError(at, `there is another ${part}:`);
    const start = at + 2;
    if (part === 'O' || part === 'G') {
      at = endOfSid(text, start);
      found[part] = parseSid(text.slice(start, at), start);
    } else {
      const list = readList(text, start, part);
      at = list.end;
      if (part === 'D') found.D = list.entries;
      else found.S = true;
    }
  }
  return { owner: found.O, group: found.G, entries: found.D };
}

/** The text that {@link parseSddl} reads as `descriptor`. */
export function formatSddl({ owner, group, entries }: SecurityDescriptor): string {
  const list = (found: readonly AccessEntry[] | 'everyone'): string =>
    found === 'everyone'
      ? NO_ACCESS_CONTROL
      : found
          .map(({ type, isInheritOnly, mask, sid }) => {
            const letter = type === 'allow' ? 'A' : 'D';
            return `(${letter};${isInheritOnly ? 'CIIO' : ''};${formatMask(mask)};;;${sid})`;
          })
          .join('');
  return [
    owner === undefined ? '' : `O:${owner}`,
    group === undefined ? '' : `G:${group}`,
    entries === undefined ? '' : `D:${list(entries)}`,
  ].join('');
}

/** A SID ends where the next part begins, which has a colon as its second character. */
function endOfSid(text: string, start: number): number {
  const colon = text.indexOf(':', start);
  return colon < 0 ? text.length : Math.max(start, colon - 1);
}

function readList(
  text: string,
  start: number,
  part: 'D' | 'S',
): { readonly entries: readonly AccessEntry[] | 'everyone'; readonly end: number } {
  let at = start;
  if (text.slice(at, at + NO_ACCESS_CONTROL.length).toUpperCase() === NO_ACCESS_CONTROL) {
    return { entries: 'everyone', end: at + NO_ACCESS_CONTROL.length };
  }
  for (;;) {
    const flag = LIST_FLAGS.find((f) => text.slice(at, at + f.length).toUpperCase() === f);
    if (flag === undefined) break;
    at += flag.length;
  }
  const entries: AccessEntry[] = [];
  while (text[at] === '(') {
    const end = text.indexOf(')', at);
    if (end < 0) throw new SddlError(at, 'an entry has no end');
    const entry = readEntry(text.slice(at + 1, end), at + 1, part);
    if (entry !== undefined) entries.push(entry);
    at = end + 1;
  }
  return { entries, end: at };
}

/** `type;flags;rights;object;inherited object;account` (MS-DTYP, 2.5.1.1). */
function readEntry(text: string, at: number, part: 'D' | 'S'): AccessEntry | undefined {
  const [type = '', flags = '', rights = '', object, inherited, account, ...more] = text
    .split(';', 8)
    .map((field) => field.trim());
  if (account === undefined || (more.length > 0 && part === 'D')) {
    throw new SddlError(at, `"(${text.slice(0, 40)}" has not the six fields of an entry`);
  }
  const upper = type.toUpperCase();
  if (part === 'S') {
    if (SYSTEM_TYPES.includes(upper)) return undefined;
    throw new SddlError(at, `"${upper.slice(0, 10)}" is no type of an entry in a system's list`);
  }
  if (!Object.hasOwn(TYPES, upper)) {
    throw new SddlError(at, `"${upper.slice(0, 10)}" is no type that can be honoured: use A or D`);
  }
  if (object !== '' || inherited !== '') {
    throw new SddlError(at, 'an entry is for a part of an object: compute systems have no parts');
  }
  return {
    type: TYPES[upper]!,
    isInheritOnly: readFlags(flags, at).includes('IO'),
    mask: parseMask(rights, at + text.indexOf(';', text.indexOf(';') + 1) + 1),
    sid: parseSid(account, at + text.lastIndexOf(';') + 1),
  };
}

function readFlags(text: string, at: number): string[] {
  const flags = text.toUpperCase().match(/.{1,2}/g) ?? [];
  const wrong = flags.find((flag) => !ENTRY_FLAGS.includes(flag));
  if (wrong === undefined) return flags;
  throw new SddlError(at, `"${wrong}" is no flag of an entry`);
}
