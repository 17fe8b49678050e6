import { type AccessMask, Right, withoutGeneric } from './access-mask.ts';
import type { Peer } from './peer.ts';
import { SddlError } from './sddl-error.ts';
import { formatSddl, parseSddl, type SecurityDescriptor } from './security-descriptor.ts';
import { EVERYONE, groupSid, LOCAL_SYSTEM, OWNER_RIGHTS, type Sid, userSid } from './sid.ts';

/** Who asks, as far as access goes. */
export type Account = Pick<Peer, 'uid' | 'gid' | 'groups'>;

/**
 * All that a caller is to security descriptors: its user, its groups, everyone; `LOCAL` and authenticated, as whoever has a
 * process here is. Root is the system and an administrator besides.
 */
export function sidsOf({ uid, gid, groups }: Account): ReadonlySet<Sid> {
  return new Set([
    userSid(uid),
    groupSid(gid),
    ...groups.map(groupSid),
    EVERYONE,
    'S-1-2-0',
    'S-1-5-11',
    'S-1-5-32-545',
    ...(uid === 0 ? [LOCAL_SYSTEM, 'S-1-5-32-544'] : []),
  ]);
}

/**
 * Whether a caller has all of the rights asked for, as Windows decides (MS-DTYP, 2.5.3.2): entries are looked at in their
 * order; each that allows takes its rights off what is still asked for, and one that denies any of that ends it. The owner
 * may read and change the descriptor unless an entry for OWNER RIGHTS says what owners may. Without a list everything is
 * refused but that: {@link descriptorFor} gives every system one.
 */
export function mayAccess(
  { owner, entries = [] }: SecurityDescriptor,
  account: Account,
  right: AccessMask,
): boolean {
  if (entries === 'everyone') return true;
  const sids = new Set(sidsOf(account));
  let missing = withoutGeneric(right);
  if (owner !== undefined && sids.has(owner)) {
    const limits = entries.some(({ sid, isInheritOnly }) => sid === OWNER_RIGHTS && !isInheritOnly);
    if (limits) sids.add(OWNER_RIGHTS);
    else missing &= ~(Right.READ_CONTROL | Right.WRITE_DAC);
  }
  for (const { type, isInheritOnly, mask, sid } of entries) {
    if (missing === 0) return true;
    if (isInheritOnly || !sids.has(sid)) continue;
    const bits = withoutGeneric(mask);
    if (type === 'allow') missing &= ~bits;
    else if ((missing & bits) !== 0) return false;
  }
  return missing === 0;
}

/** The descriptor of a system for which none was given: its owner and root may do all, others nothing. */
export function ownerOnly({ uid, gid }: Account): SecurityDescriptor {
  const all = { type: 'allow', isInheritOnly: false, mask: Right.ALL } as const;
  const entries = [
    { ...all, sid: userSid(uid) },
    { ...all, sid: LOCAL_SYSTEM },
  ];
  return { owner: userSid(uid), group: groupSid(gid), entries };
}

/**
 * The descriptor that a system which `account` creates has, with what the text leaves out as in {@link ownerOnly}.
 * @param sddl in the string format; undefined where the caller gives none
 * @returns its text, for keeping; whole, so that it means the same to whoever reads it
 * @throws SddlError for a text that cannot be honoured, and for an owner that the caller is not; root may name any
 */
export function descriptorFor(account: Account, sddl: string | undefined): string {
  const own = ownerOnly(account);
  const given = parseSddl(sddl ?? '');
  const possible = [userSid(account.uid), ...[account.gid, ...account.groups].map(groupSid)];
  if (given.owner !== undefined && account.uid !== 0 && !possible.includes(given.owner)) {
    throw new SddlError(
      sddl?.toUpperCase().indexOf('O:') ?? 0,
      `the owner is ${given.owner}: it can only be who creates the system, ${userSid(account.uid)}, or a group of theirs`,
    );
  }
  return formatSddl({
    owner: given.owner ?? own.owner,
    group: given.group ?? own.group,
    entries: given.entries ?? own.entries,
  });
}
