import { statSync } from 'node:fs';
import { readBytes, writeBytes } from './extended-attributes.ts';

/** An entry of an access control list that names somebody. */
export interface AclEntry {
  readonly kind: 'user' | 'group';
  /** uid or gid. */
  readonly id: number;
}

/** Which list of a file: the rights on it, or those that new files in a folder begin with. */
export type AclList = 'access' | 'default';

/** Bits of a permission, as in a file's mode. */
export const AclPermission = { READ: 4, WRITE: 2, SEARCH: 1 } as const;

/** Linux, include/uapi/linux/posix_acl.h and posix_acl_xattr.h. */
const VERSION = 2;
const Tag = { USER_OBJ: 0x01, USER: 0x02, GROUP_OBJ: 0x04, GROUP: 0x08, MASK: 0x10, OTHER: 0x20 };
const NO_ID = 0xffff_ffff;
const HEADER_SIZE = 4;
const ENTRY_SIZE = 8;

const ATTRIBUTES: Readonly<Record<AclList, string>> = {
  access: 'system.posix_acl_access',
  default: 'system.posix_acl_default',
};

interface Item {
  readonly tag: number;
  readonly permission: number;
  readonly id: number;
}

/**
 * Gives somebody rights on a file, besides those that it has; the file's mask grows with them (acl(5)).
 * @param mode the file's mode, for the list of a file that has none
 * @throws SystemCallError: EOPNOTSUPP where the file system has no such lists, EINVAL for an id that this user namespace
 * does not have, EPERM for anybody but the owner
 */
export function allow(
  path: string,
  list: AclList,
  mode: number,
  { kind, id }: AclEntry,
  permission: number,
): void {
  const tag = kind === 'user' ? Tag.USER : Tag.GROUP;
  const others = (read(path, list) ?? ofMode(mode)).filter(
    (item) => item.tag !== Tag.MASK && !(item.tag === tag && item.id === id),
  );
  write(path, list, withMask([...others, { tag, permission, id }]));
}

/** Takes the rights of an entry away again. @throws SystemCallError as {@link allow} */
export function disallow(path: string, list: AclList, { kind, id }: AclEntry): void {
  const items = read(path, list);
  const tag = kind === 'user' ? Tag.USER : Tag.GROUP;
  if (items?.some((item) => item.tag === tag && item.id === id) !== true) return;
  const kept = items.filter(
    (item) => item.tag !== Tag.MASK && !(item.tag === tag && item.id === id),
  );
  write(path, list, withMask(kept));
}

/** Gives a file the list that another one has, if it has one. @throws SystemCallError as {@link allow} */
export function copyList(from: string, to: string, list: AclList): void {
  const items = read(from, list);
  if (items !== undefined) write(to, list, items);
}

/** Rights of an entry, or undefined where it has none of its own. @throws SystemCallError as {@link allow} */
export function permissionOf(path: string, list: AclList, entry: AclEntry): number | undefined {
  const tag = entry.kind === 'user' ? Tag.USER : Tag.GROUP;
  const found = read(path, list)?.find((item) => item.tag === tag && item.id === entry.id);
  return found?.permission;
}

/** Who asks for a file: a user with one group. */
export interface FileUserIds {
  readonly uid: number;
  readonly gid: number;
}

/** What somebody may do with a file. */
export interface FileRights {
  /** Bits of {@link AclPermission}. */
  readonly permission: number;
  /** Whether the file names the user: as its owner, or by an entry for the user or the group. */
  readonly isNamed: boolean;
}

/**
 * What somebody without privileges may do with a file, whatever folders are above it (acl(5), "Access check algorithm").
 * @throws SystemCallError, Error with `code`
 */
export function rightsOn(path: string, { uid, gid }: FileUserIds): FileRights {
  const status = statSync(path);
  const items = readIfAny(path) ?? ofMode(status.mode);
  const of = (tag: number): number => items.find((item) => item.tag === tag)?.permission ?? 0;
  if (status.uid === uid) return { permission: of(Tag.USER_OBJ), isNamed: true };
  const mask = items.find((item) => item.tag === Tag.MASK)?.permission ?? 7;
  const user = items.find((item) => item.tag === Tag.USER && item.id === uid);
  if (user !== undefined) return { permission: user.permission & mask, isNamed: true };
  const group = items.find((item) => item.tag === Tag.GROUP && item.id === gid);
  const isGroup = status.gid === gid;
  if (group === undefined && !isGroup) return { permission: of(Tag.OTHER), isNamed: false };
  const all = (group?.permission ?? 0) | (isGroup ? of(Tag.GROUP_OBJ) : 0);
  return { permission: all & mask, isNamed: true };
}

/** The entries of a file; undefined where it has none, or its file system knows none. */
function readIfAny(path: string): Item[] | undefined {
  try {
    return read(path, 'access');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EOPNOTSUPP') return undefined;
    throw error;
  }
}

function read(path: string, list: AclList): Item[] | undefined {
  const bytes = readBytes(path, ATTRIBUTES[list]);
  if (bytes === undefined) return undefined;
  const items: Item[] = [];
  for (let at = HEADER_SIZE; at + ENTRY_SIZE <= bytes.length; at += ENTRY_SIZE) {
    items.push({
      tag: bytes.readUInt16LE(at),
      permission: bytes.readUInt16LE(at + 2),
      id: bytes.readUInt32LE(at + 4),
    });
  }
  return items;
}

function write(path: string, list: AclList, items: readonly Item[]): void {
  const bytes = Buffer.alloc(HEADER_SIZE + items.length * ENTRY_SIZE);
  bytes.writeUInt32LE(VERSION, 0);
  items.forEach(({ tag, permission, id }, i) => {
    const at = HEADER_SIZE + i * ENTRY_SIZE;
    bytes.writeUInt16LE(tag, at);
    bytes.writeUInt16LE(permission, at + 2);
    bytes.writeUInt32LE(id, at + 4);
  });
  writeBytes(path, ATTRIBUTES[list], bytes);
}

function ofMode(mode: number): Item[] {
  return [
    { tag: Tag.USER_OBJ, permission: (mode >> 6) & 7, id: NO_ID },
    { tag: Tag.GROUP_OBJ, permission: (mode >> 3) & 7, id: NO_ID },
    { tag: Tag.OTHER, permission: mode & 7, id: NO_ID },
  ];
}

/** In the order that the kernel asks for, with the mask that lets every entry have what it says. */
function withMask(items: readonly Item[]): Item[] {
  const isMasked = ({ tag }: Item): boolean => tag !== Tag.USER_OBJ && tag !== Tag.OTHER;
  const isNamed = ({ tag }: Item): boolean => tag === Tag.USER || tag === Tag.GROUP;
  const masked = items.filter(isMasked);
  const permission = masked.reduce((all, item) => all | item.permission, 0);
  const mask = items.some(isNamed) ? [{ tag: Tag.MASK, permission, id: NO_ID }] : [];
  return [...items, ...mask].sort((a, b) => a.tag - b.tag || a.id - b.id);
}
