import { accessSync, closeSync, constants, existsSync, openSync, statfsSync } from 'node:fs';
import { arch, platform, tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { cacheDirectory } from '../provision/cache-directory.ts';
import { findInPath } from '../provision/find-in-path.ts';
import { findQemu } from '../provision/find-qemu.ts';
import { findSideProgram } from '../provision/find-side-program.ts';
import { provisionedAgent } from '../provision/provision-agent.ts';
import { ProvisionError } from '../provision/provision-error.ts';
import { findGuest } from '../provision/provision-guest.ts';
import { SIDE_PROGRAM_NAMES, type SideProgramName } from '../provision/side-programs.ts';
import type { Check } from './check.ts';
import { windowsChecks } from './windows/checks.ts';
import { gatherWindowsFacts } from './windows/facts.ts';

const GIB = 2 ** 30;
/** QEMU, kernel, and what is unpacked of them. */
const SPACE_FOR_PROVISION = 1.5 * GIB;
/** Longest path of a Unix socket that still leaves room for the names in a private folder (unix(7): 107 bytes). */
const LONGEST_SOCKET_FOLDER = 80;

/** Looks at everything that hdvkit may need of this machine. Starts QEMU to ask for its version; changes nothing. */
export async function examine(): Promise<Check[]> {
  return [
    node(),
    system(),
    ...(platform() === 'linux' ? await linuxChecks() : []),
    ...(platform() === 'win32' ? windowsChecks(await gatherWindowsFacts()) : []),
  ];
}

async function linuxChecks(): Promise<Check[]> {
  const sidePrograms = await Promise.all(SIDE_PROGRAM_NAMES.map(sideProgram));
  return [
    ...[await qemu(), guest(), agent(), ...sidePrograms],
    ...[kvm(), socketFolder(), cache(), disk(), compiler()],
  ];
}

function node(): Check {
  const version = process.versions.node;
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isEnough = major > 20 || (major === 20 && minor >= 19);
  return {
    name: 'node',
    title: 'Node',
    state: isEnough ? 'ok' : 'missing',
    detail: version,
    ...(isEnough ? {} : { remedy: 'install Node 20.19 or later' }),
  };
}

function system(): Check {
  const check = { name: 'system', title: 'system', detail: `${platform()} ${arch()}` } as const;
  const isKnown =
    platform() === 'win32' || (platform() === 'linux' && /^(x64|arm64)$/.test(arch()));
  if (isKnown) return { ...check, state: 'ok' };
  return {
    ...check,
    state: 'missing',
    neededBy: 'linux',
    remedy: 'real guests need Linux or Windows; the simulated host runs here',
  };
}

/** Turns what a search threw into a finding. */
function missing(name: string, title: string, error: unknown): Check {
  if (!(error instanceof ProvisionError)) throw error;
  return {
    name,
    title,
    state: 'missing',
    detail: error.message.replace(`; ${error.remedy}`, ''),
    remedy: error.remedy,
    neededBy: 'linux',
  };
}

async function qemu(): Promise<Check> {
  try {
    const { version, command, args, source } = await findQemu();
    // A provisioned QEMU runs through its own loader; the program is among the arguments.
    const program = args.find((argument) => argument.endsWith('/qemu-system-x86_64')) ?? command;
    return {
      name: 'qemu',
      title: 'QEMU',
      state: 'ok',
      detail: `${version} with vfio-user-pci, ${source}: ${program}`,
      neededBy: 'linux',
    };
  } catch (error) {
    return missing('qemu', 'QEMU', error);
  }
}

function guest(): Check {
  const base = { name: 'guest', title: 'guest kernel', neededBy: 'linux' } as const;
  try {
    const { kernel, kernelRelease } = findGuest();
    return { ...base, state: 'ok', detail: `${kernelRelease}: ${kernel}` };
  } catch (error) {
    return missing(base.name, base.title, error);
  }
}

function agent(): Check {
  const path = provisionedAgent();
  return {
    name: 'agent',
    title: 'guest agent',
    state: path === undefined ? 'note' : 'ok',
    detail: path ?? 'will be compiled when a guest first needs it',
  };
}

/** Machines do without it until their document asks for what it does. */
async function sideProgram(name: SideProgramName): Promise<Check> {
  const base = { name, title: name } as const;
  try {
    const { version, source, command, args } = await findSideProgram(name);
    // A provisioned program runs through its own loader; its path comes last.
    return {
      ...base,
      state: 'ok',
      detail: `${version}, ${source}: ${args.at(-1) ?? command}`,
    };
  } catch (error) {
    const { detail, remedy } = missing(name, name, error);
    return { ...base, state: 'note', detail, ...(remedy === undefined ? {} : { remedy }) };
  }
}

function kvm(): Check {
  const base = { name: 'kvm', title: 'KVM' } as const;
  if (!existsSync('/dev/kvm')) {
    return {
      ...base,
      state: 'note',
      detail: 'no /dev/kvm: guests run under TCG, several times slower',
    };
  }
  try {
    closeSync(openSync('/dev/kvm', constants.O_RDWR));
  } catch {
    return {
      ...base,
      state: 'note',
      detail: '/dev/kvm is there, but not for this user: guests run under TCG',
      remedy: 'add the user to the group kvm',
    };
  }
  return {
    ...base,
    state: 'note',
    detail: '/dev/kvm opens; it is used where a test boot has shown that it can run a guest',
  };
}

function socketFolder(): Check {
  const folder = tmpdir();
  const base = { name: 'runtime', title: 'sockets', neededBy: 'linux' } as const;
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    return { ...base, state: 'missing', detail: `${folder} is not writable`, remedy: 'set TMPDIR' };
  }
  if (Buffer.byteLength(folder) > LONGEST_SOCKET_FOLDER) {
    return { ...base, state: 'note', detail: `${folder} is too long for sockets: /tmp is used` };
  }
  return { ...base, state: 'ok', detail: `in private folders below ${folder}` };
}

/** The nearest folder that exists: where a folder that is still to be made will be. */
function existing(folder: string): string {
  return existsSync(folder) ? folder : existing(dirname(folder));
}

function cache(): Check {
  const folder = cacheDirectory();
  const base = { name: 'cache', title: 'cache', neededBy: 'linux' } as const;
  try {
    accessSync(existing(folder), constants.W_OK);
  } catch {
    return {
      ...base,
      state: 'missing',
      detail: `${folder} is not writable`,
      remedy: 'set HDVKIT_CACHE',
    };
  }
  const state = existsSync(folder) ? '' : ' (will be made)';
  return { ...base, state: 'ok', detail: `${folder}${state}` };
}

function disk(): Check {
  const folder = existing(cacheDirectory());
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const isEnough = free >= SPACE_FOR_PROVISION;
  return {
    name: 'disk',
    title: 'disk',
    state: isEnough ? 'ok' : 'note',
    detail: `${(free / GIB).toFixed(1)} GiB free in ${folder}`,
    ...(isEnough
      ? {}
      : { remedy: 'provisioning takes about 1.5 GiB: free some, or set HDVKIT_CACHE' }),
  };
}

function compiler(): Check {
  const found = ['gcc', 'cc', 'clang'].map(findInPath).find((path) => path !== undefined);
  return {
    name: 'compiler',
    title: 'C compiler',
    state: found === undefined ? 'note' : 'ok',
    detail:
      found ??
      'none: only the tests of this project need one, for a program that runs in the guest',
    ...(found === undefined ? { remedy: 'apt-get install gcc libc6-dev' } : {}),
  };
}
