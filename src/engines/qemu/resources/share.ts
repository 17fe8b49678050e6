import { accessSync, constants, statSync } from 'node:fs';
import { checkFields } from '../../../compute/document-fields.ts';
import type { ResourceChange } from '../../../compute/engine.ts';
import type {
  Devices as DevicesDocument,
  Plan9Share,
  VirtualSmbShare,
} from '../../../hcs/schema/documents.ts';
import { PLAN9_SHARE_FIELDS, QEMU_OTHERWISE, SMB_SHARE_FIELDS } from '../document-fields.ts';
import type { LiveMachine } from '../live-machine.ts';
import { requireShareAccess } from '../machine-access.ts';
import type { PlannedShare } from '../machine-plan.ts';
import { requireAbsolute } from '../required-file.ts';
import { cannotHonour, resourceFailure } from './resource-failure.ts';
import { isVirtiofs, shareId, startShare, virtiofsPart } from './virtiofs.ts';

/** Flags of a Plan9Share: read-only (hcsshim). */
const READ_ONLY = 1;
/** Those and what a folder of Linux has anyway: its metadata, names that differ by case, any number of connections. */
const KNOWN_FLAGS = READ_ONLY | 4 | 8 | 0x100;

/** Shares of the document, of both kinds. */
export function planShares(devices: DevicesDocument): readonly PlannedShare[] {
  const at = '$.VirtualMachine.Devices';
  const shares = [
    ...(devices.Plan9?.Shares ?? []).map((share, index) =>
      planPlan9Share(`${at}.Plan9.Shares[${index}]`, share),
    ),
    ...(devices.VirtualSmb?.Shares ?? []).map((share, index) =>
      planSmbShare(`${at}.VirtualSmb.Shares[${index}]`, share),
    ),
  ];
  const tags = new Set<string>();
  for (const { tag } of shares) {
    if (tags.has(tag)) {
      throw resourceFailure('ERROR_ALREADY_EXISTS', `${at} has two shares "${tag}": rename one`);
    }
    tags.add(tag);
  }
  return shares;
}

function planPlan9Share(at: string, share: Plan9Share): PlannedShare {
  const { Flags = 0 } = share;
  const tag = tagOf(`${at}.Name`, plan9Name(share));
  const others = Flags & ~KNOWN_FLAGS;
  if (others !== 0) {
    throw cannotHonour(
      `${at}.Flags`,
      `the flags 0x${others.toString(16)} are not for shares over virtio`,
    );
  }
  const path = folderOf(`${at}.Path`, share.Path);
  return { kind: 'Plan9', tag, path, readOnly: (Flags & READ_ONLY) !== 0 };
}

/** What the guest knows it by. */
function plan9Name({ AccessName, Name }: Plan9Share): string | undefined {
  return AccessName ?? Name;
}

function planSmbShare(at: string, share: VirtualSmbShare): PlannedShare {
  const { Name, Path, Options = {} } = share;
  const tag = tagOf(`${at}.Name`, Name);
  const path = folderOf(`${at}.Path`, Path);
  return { kind: 'VirtualSmb', tag, path, readOnly: Options.ReadOnly ?? false };
}

function tagOf(at: string, name: string | undefined): string {
  if (name !== undefined && /^[\w.-]{1,31}$/.test(name)) return name;
  throw resourceFailure(
    'E_INVALIDARG',
    `${at} is ${name === undefined ? 'missing' : `"${name}"`}: use 1 to 31 letters, digits, ".", "_" and "-"`,
  );
}

function folderOf(at: string, path: string | undefined): string {
  if (path === undefined) throw resourceFailure('E_INVALIDARG', `${at} is missing`);
  requireAbsolute(at, path);
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw resourceFailure(
      isMissing ? 'ERROR_FILE_NOT_FOUND' : 'E_ACCESSDENIED',
      `${at} is "${path}": ${isMissing ? 'there is no such folder' : 'it cannot be read'}`,
    );
  }
  if (statSync(path).isDirectory()) return path;
  throw resourceFailure('ERROR_INVALID_DATA', `${at} is "${path}", which is no folder`);
}

/** Adds or removes an SMB share. */
export async function changeSmbShare(machine: LiveMachine, change: ResourceChange): Promise<void> {
  const settings = change.settings as VirtualSmbShare;
  checkFields('VirtualSmbShare', settings, SMB_SHARE_FIELDS, '$.Settings', QEMU_OTHERWISE);
  await changeShare(machine, change, 'VirtualSmb', settings.Name, () =>
    planSmbShare('$.Settings', settings),
  );
}

/** Adds or removes a Plan9 share. One that comes later is a virtiofs device: QEMU makes no 9p ones then. */
export async function changePlan9Share(
  machine: LiveMachine,
  change: ResourceChange,
): Promise<void> {
  const settings = change.settings as Plan9Share;
  checkFields('Plan9Share', settings, PLAN9_SHARE_FIELDS, '$.Settings', QEMU_OTHERWISE);
  await changeShare(machine, change, 'Plan9', plan9Name(settings), () =>
    planPlan9Share('$.Settings', settings),
  );
}

async function changeShare(
  machine: LiveMachine,
  { request }: ResourceChange,
  kind: PlannedShare['kind'],
  name: string | undefined,
  read: () => PlannedShare,
): Promise<void> {
  const tag = tagOf('$.Settings.Name', name);
  const there = machine.plan.shares.find((share) => share.tag === tag);
  if (request === 'Add') {
    if (there !== undefined) {
      throw resourceFailure('ERROR_ALREADY_EXISTS', `the machine has a share "${tag}" already`);
    }
    await addShare(machine, read());
    return;
  }
  if (there?.kind !== kind) {
    throw resourceFailure('ERROR_NOT_FOUND', `the machine has no ${kind} share "${tag}"`);
  }
  if (request === 'Update') requireSame(there, read());
  else await removeShare(machine, there);
}

async function addShare(machine: LiveMachine, share: PlannedShare): Promise<void> {
  requireShareAccess(machine.user, '$.Settings.Path', share);
  const id = shareId(share);
  // One that was being added when its owner ended has its program, too.
  if (!machine.ports.has(id)) await startShare(machine.sides, share, machine.isClone);
  try {
    await machine.plug(virtiofsPart(share, machine.sides.socketOf(id)));
  } catch (error) {
    await machine.sides.end(id);
    throw error;
  }
  machine.plan = { ...machine.plan, shares: [...machine.plan.shares, share] };
}

async function removeShare(machine: LiveMachine, share: PlannedShare): Promise<void> {
  const what = `share "${share.tag}"`;
  if (!isVirtiofs(share, machine.ports)) {
    throw resourceFailure(
      'ERROR_NOT_SUPPORTED',
      `${what} is one of 9p, which QEMU has as long as the machine: it can be removed when it was added later, or as one of VirtualSmb`,
    );
  }
  await machine.sides.leave(shareId(share), () => machine.unplug(virtiofsPart(share, ''), what));
  const shares = machine.plan.shares.filter((other) => other !== share);
  machine.plan = { ...machine.plan, shares };
}

/** The guest has it mounted as it is. */
function requireSame(there: PlannedShare, asked: PlannedShare): void {
  for (const [field, is, wanted] of [
    ['Path', there.path, asked.path],
    ['ReadOnly', there.readOnly, asked.readOnly],
  ] as const) {
    if (is === wanted) continue;
    throw resourceFailure(
      'ERROR_NOT_SUPPORTED',
      `${field} of share "${there.tag}" is ${is} and cannot become ${wanted} while the machine has it: remove the share, and add it as it is to be`,
    );
  }
}
