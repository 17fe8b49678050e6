import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

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
 * The accounts that a machine may have: the first, or the second while another machine runs with the first. They follow
 * from the system's runtime id alone, so that files can be granted before the system is there, by any process, and nothing
 * has to be written down: a grant names both. Two systems among a hundred share one once in 25,000 times.
 * @param runtimeId Properties.RuntimeId of the system
 */
export function vmAccounts(runtimeId: string): readonly [VmAccount, VmAccount] {
  const hash = createHash('sha256').update(runtimeId.toLowerCase()).digest();
  const account = (word: number): VmAccount => ({
    uid: FIRST_ID + 1 + (hash.readUInt32LE(word * 4) % IDS),
    gid: VM_GROUP,
  });
  return [account(0), account(1)];
}

/** The account that a machine has unless another one runs with it: the first of {@link vmAccounts}. */
export function vmAccount(runtimeId: string): VmAccount {
  return vmAccounts(runtimeId)[0];
}

/** uids of the machines of this process. */
const taken = new Set<number>();

/**
 * Takes an account for a machine: of {@link vmAccounts} the first that no other machine of this system has.
 * @throws Error when others have both
 */
export function takeAccount(runtimeId: string): VmAccount {
  const accounts = vmAccounts(runtimeId);
  const free = accounts.find(({ uid }) => !taken.has(uid) && !isInUse(uid));
  if (free === undefined) {
    throw new Error(
      `Cannot give the machine an account: other machines run with the uids ${accounts.map(({ uid }) => uid).join(' and ')}, one of which it must have; use another id for the system, or end those machines`,
    );
  }
  taken.add(free.uid);
  return free;
}

/** Keeps the account of a machine that runs already. */
export function keepAccount(account: VmAccount | undefined): void {
  if (account !== undefined) taken.add(account.uid);
}

/** Gives an account back, when no process has it any more. */
export function releaseAccount(account: VmAccount | undefined): void {
  if (account !== undefined) taken.delete(account.uid);
}

/** Whether a process has a uid. Machines of other services of this system are known by that alone. */
function isInUse(uid: number): boolean {
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return runsAs(readFileSync(`/proc/${name}/status`, 'utf8'), uid);
    } catch {
      return false; // It has ended.
    }
  });
}

/**
 * Whether a process runs as a user. One that has ended does not, though it is there until its parent asks for its exit code:
 * the first process of a container may never do.
 * @param status the text of /proc/PID/status
 */
export function runsAs(status: string, uid: number): boolean {
  if (/^State:\s*[ZX]/m.test(status)) return false;
  return new RegExp(`^Uid:.*\\b${uid}\\b`, 'm').test(status);
}

/**
 * What makes `spawn` run a program of a machine, QEMU or one beside it, as the machine's account: the account's uid and gid,
 * and no other group. Nothing where machines run as the service itself.
 */
export function asAccount(account: VmAccount | undefined): Partial<VmAccount> {
  return account === undefined ? {} : { uid: account.uid, gid: account.gid };
}

/**
 * The environment of a program of a machine. What a service that is root has in its own is nothing for its machines, but for
 * its time zone; a machine that runs as the service itself has all of it.
 */
export function environmentOf(account: VmAccount | undefined): NodeJS.ProcessEnv {
  const { PATH, TZ } = process.env;
  return account === undefined ? process.env : { PATH, TZ, LANG: 'C.UTF-8' };
}
