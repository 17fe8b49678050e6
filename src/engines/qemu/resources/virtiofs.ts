import { readFileSync } from 'node:fs';
import { findSideProgram } from '../../../provision/find-side-program.ts';
import { isReachable } from '../handed-files.ts';
import type { LiveMachine } from '../live-machine.ts';
import type { PlannedShare } from '../machine-plan.ts';
import type { Part } from '../part.ts';
import type { RootPorts } from '../root-ports.ts';
import type { SideProcesses, SideProcessRequest } from '../side-processes.ts';
import type { VmAccount } from '../vm-account.ts';
import { warnOnce } from '../warn-once.ts';
import { chardevBackend } from './com-port.ts';
import { resourceFailure } from './resource-failure.ts';

/** Requests that may be under way at once. */
const QUEUE_SIZE = 1024;
/** All but the last of 2^32 ids, which is none. */
const ALL_IDS = 0xffff_ffff;

/** Id of a share's device in QEMU, where it is a virtiofs one. */
export function shareId({ tag }: PlannedShare): string {
  return `fs-${tag}`;
}

/**
 * Whether a share is a virtiofs device, in a root port of its own; otherwise it is a 9p one, on the root bus. SMB shares
 * are, and those that came to a running machine.
 */
export function isVirtiofs(share: PlannedShare, ports: Pick<RootPorts, 'has'>): boolean {
  return share.kind === 'VirtualSmb' || ports.has(shareId(share));
}

/** Set to 1, shares are served with the rights of the service where the account of the machine cannot serve them. */
const AS_SERVICE = 'HDVKIT_SHARES_AS_SERVICE';

/**
 * Starts the program that serves a share, with no view of anything else. It runs as who QEMU is. Where this system lets
 * nobody but root make namespaces, or where the operator says so by {@link AS_SERVICE}, it runs as the user of this
 * process instead, with a warning.
 * @throws ProvisionError when there is no virtiofsd, HcsError ERROR_NOT_SUPPORTED for a clone, E_ACCESSDENIED when the
 * account of the machine cannot serve it
 */
export async function startShare(
  sides: Pick<SideProcesses, 'account' | 'start'>,
  share: PlannedShare,
  isClone: boolean,
  findProgram: typeof findSideProgram = findSideProgram,
): Promise<void> {
  if (isClone) throw noShareInClone(share);
  const { account } = sides;
  const program = await findProgram('virtiofsd');
  const start = (how: Partial<SideProcessRequest>, own: readonly string[]) =>
    sides.start(shareId(share), {
      program,
      args: (socket) => [...argumentsFor(share, socket), ...own],
      ...how,
    });
  if (account !== undefined) {
    try {
      requireReachable(share, account);
      await start({}, [...SANDBOX.namespace, ...squashed(account)]);
      return;
    } catch (error) {
      if (process.env[AS_SERVICE] !== '1' && !isForbidden(error)) throw notServed(share, error);
      warnOnce(
        `The share "${share.path}" is served with the rights of the service, in a chroot, not with those of its machine: ${(error as Error).message}`,
      );
    }
  }
  const isRoot = process.getuid?.() === 0;
  await start({ account: undefined }, isRoot ? SANDBOX.chroot : SANDBOX.namespace);
}

const SANDBOX = {
  chroot: ['--sandbox', 'chroot'],
  namespace: ['--sandbox', 'namespace'],
} as const;

function argumentsFor({ path, readOnly }: PlannedShare, socket: string): readonly string[] {
  return [
    ...['--socket-path', socket, '--shared-dir', path],
    // A saved machine knows its files by their paths; one that is gone by then is an error for who opens it.
    ...['--migration-mode', 'find-paths', '--migration-on-error', 'guest-error'],
    ...['--log-level', 'error'],
    ...(readOnly ? ['--readonly'] : []),
  ];
}

/** How virtiofsd says that it cannot make namespaces: number of the system's error. */
const NO_NAMESPACES = /Error entering sandbox: Unshare\(Os \{ code: (\d+),/;

/** EPERM of a container that does not let programs make them; EINVAL and ENOSYS of a kernel without them. */
const FORBIDDEN: readonly unknown[] = ['1', '22', '38'];

/** Of a system whose users may have none; where they may, so many are there that it is no more than a moment's. */
const ENOSPC = '28';

/** Whether this system lets no account make namespaces, so that no share could be served as one. */
function isForbidden(error: unknown): boolean {
  const [, code] = NO_NAMESPACES.exec((error as Error).message) ?? [];
  return FORBIDDEN.includes(code) || (code === ENOSPC && mostNamespaces() === '0');
}

function mostNamespaces(): string {
  return readFileSync('/proc/sys/user/max_user_namespaces', 'utf8').trim();
}

function notServed({ path, tag }: PlannedShare, error: unknown): Error {
  return resourceFailure(
    'E_ACCESSDENIED',
    `Cannot serve the share "${tag}" of ${path} with the rights of its machine: ${(error as Error).message}; ${AS_SERVICE}=1 in the environment of the service has it served with those of the service`,
    error,
  );
}

/** In its namespaces virtiofsd finds the folder by its path alone. */
function requireReachable({ path }: PlannedShare, account: VmAccount): void {
  if (isReachable(path, account)) return;
  throw new Error('its account may not search the folders above; let everybody search them');
}

/** All users of the guest are the account, the only one there is in its namespace; for the guest that is root. */
function squashed({ uid, gid }: VmAccount): readonly string[] {
  return [
    ...['--translate-uid', `squash-guest:0:${uid}:${ALL_IDS}`],
    ...['--translate-uid', `host:${uid}:0:1`],
    ...['--translate-gid', `squash-guest:0:${gid}:${ALL_IDS}`],
    ...['--translate-gid', `host:${gid}:0:1`],
  ];
}

/** Why a clone is refused a share. */
export function noShareInClone({ tag, kind }: PlannedShare): Error {
  return resourceFailure(
    'ERROR_NOT_SUPPORTED',
    `a clone cannot have the ${kind} share "${tag}": virtiofsd has to map the guest's memory, and a clone's is partly its template's and private; write Plan9 shares in the document of the template, which are served by QEMU itself`,
  );
}

/**
 * Refuses to make a template of a machine whose clones could not have its shares.
 * @throws HcsError ERROR_NOT_SUPPORTED
 */
export function requireNoVirtiofs({ plan, ports }: LiveMachine): void {
  const share = plan.shares.find((one) => isVirtiofs(one, ports));
  if (share === undefined) return;
  throw resourceFailure(
    'ERROR_NOT_SUPPORTED',
    `Cannot make a template of the machine as it has the ${share.kind} share "${share.tag}": virtiofsd cannot map the private memory of a clone; remove the share first, or write Plan9 shares in the document, which are served by QEMU itself`,
  );
}

/** A share as a virtiofs device for QEMU. */
export function virtiofsPart(share: PlannedShare, socket: string): Part {
  const id = shareId(share);
  return {
    id,
    backends: [
      {
        option: '-chardev',
        value: `socket,id=${id},path=${socket.replaceAll(',', ',,')},server=off`,
        add: ['chardev-add', { id, backend: chardevBackend(socket, true) }],
        remove: ['chardev-remove', { id }],
      },
    ],
    device: { driver: 'vhost-user-fs-pci', chardev: id, tag: share.tag, 'queue-size': QUEUE_SIZE },
    isPci: true,
  };
}
