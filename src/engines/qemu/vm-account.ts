import { createHash } from 'node:crypto';

/** Who the process of a machine is to the file system. */
export interface VmAccount {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Ids above those that systems give to people, services and containers, and below 2^31, from where on programs stumble
 * (systemd, docs/UIDS-GIDS.md).
 */
const FIRST_ID = 0x7000_0000;
const IDS = 0x0fff_fffe;

/** gid of every machine: what the access of the group of machines is granted to. */
export const VM_GROUP = FIRST_ID;

/**
 * The account of a machine. It follows from the system's runtime id alone, so that files can be granted before the system
 * is there, by any process, and nothing has to be written down. Two systems among a hundred have the same account once in
 * 50,000 times.
 * @param runtimeId Properties.RuntimeId of the system
 */
export function vmAccount(runtimeId: string): VmAccount {
  const hash = createHash('sha256').update(runtimeId.toLowerCase()).digest();
  return { uid: FIRST_ID + 1 + (hash.readUInt32LE(0) % IDS), gid: VM_GROUP };
}

/**
 * What makes `spawn` run a program of a machine, QEMU or one beside it, as the machine's account: the account's uid and gid,
 * and no other group. Nothing where machines run as the service itself.
 */
export function asAccount(account: VmAccount | undefined): Partial<VmAccount> {
  return account === undefined ? {} : { uid: account.uid, gid: account.gid };
}
