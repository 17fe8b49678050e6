import type { LibraryAbi } from '../../ffi/abi.ts';
import { COMPUTE_CORE_ABI } from '../../hcs/native/compute-core-abi.ts';
import { COMPUTE_STORAGE_ABI } from '../../hcs/native/compute-storage-abi.ts';
import { VM_DEVICE_HOST_ABI } from '../../hdv/native/vm-device-host-abi.ts';
import type { Check } from '../check.ts';
import type { LibraryFacts, WindowsFacts } from './facts.ts';

/** The first Windows with the functions that everything else needs (Windows 10 1809, Windows Server 2019). */
const FIRST_BUILD = 17_763;

const ABIS: Readonly<Record<string, LibraryAbi>> = {
  'computecore.dll': COMPUTE_CORE_ABI,
  'computestorage.dll': COMPUTE_STORAGE_ABI,
  'vmdevicehost.dll': VM_DEVICE_HOST_ABI,
};

const ENABLE =
  'as administrator, in PowerShell: Enable-WindowsOptionalFeature -Online -FeatureName Microsoft-Hyper-V -All, then restart';
const JOIN =
  'as administrator, in PowerShell: Add-LocalGroupMember -SID S-1-5-32-578 -Member $env:USERNAME, then sign in again; or run this as administrator';

/** The findings of `hdvkit doctor` on Windows, from what was found out. */
export function windowsChecks(facts: WindowsFacts): Check[] {
  return [
    version(facts),
    features(facts),
    service(facts),
    membership(facts),
    ...facts.libraries.map((library) => libraryCheck(library, facts.architecture)),
  ];
}

const base = (name: string, title: string) => ({ name, title, neededBy: 'windows' }) as const;

function version({ version: text, architecture }: WindowsFacts): Check {
  const build = Number(text.split('.')[2]);
  const detail = `${text} on ${architecture}`;
  if (build < FIRST_BUILD) {
    return {
      ...base('windows', 'Windows'),
      state: 'missing',
      detail,
      remedy: 'it takes Windows 10 1809, Windows Server 2019 or later',
    };
  }
  if (architecture !== 'x64') {
    return {
      ...base('windows', 'Windows'),
      state: 'missing',
      detail,
      remedy: 'the host windows runs on x64 only; install Node for x64',
    };
  }
  return { ...base('windows', 'Windows'), state: 'ok', detail };
}

function features({ system }: WindowsFacts): Check {
  const check = base('hyperv', 'Hyper-V');
  if (system === undefined) {
    return {
      ...check,
      state: 'note',
      detail: 'cannot be asked for: Windows Management does not answer',
    };
  }
  const named = Object.entries(system.features).map(([name, state]) => `${name} ${state}`);
  const has = (name: string): boolean => system.features[name] === 'enabled';
  const detail = named.length === 0 ? 'this Windows does not know the feature' : named.join(', ');
  if (
    !has('Microsoft-Hyper-V') &&
    !has('Microsoft-Hyper-V-Hypervisor') &&
    !has('VirtualMachinePlatform')
  ) {
    return { ...check, state: 'missing', detail, remedy: ENABLE };
  }
  if (system.hypervisorPresent === false) {
    return {
      ...check,
      state: 'missing',
      detail: `${detail}; but no hypervisor runs`,
      remedy:
        'enable virtualization in the firmware, run "bcdedit /set hypervisorlaunchtype auto" as administrator, and restart',
    };
  }
  return { ...check, state: 'ok', detail };
}

function service({ service: state }: WindowsFacts): Check {
  const check = base('vmcompute', 'compute service');
  switch (state) {
    case 'running':
      return { ...check, state: 'ok', detail: 'vmcompute runs' };
    case 'stopped':
    case 'changing':
      return {
        ...check,
        state: 'note',
        detail: state === 'stopped' ? 'vmcompute is stopped' : 'vmcompute is starting or stopping',
        remedy: 'Windows starts it when it is called; if it does not: sc.exe start vmcompute',
      };
    case 'absent':
      return { ...check, state: 'missing', detail: 'there is no vmcompute', remedy: ENABLE };
    case undefined:
      return { ...check, state: 'note', detail: 'sc.exe does not say whether vmcompute runs' };
  }
}

function membership({ membership: member }: WindowsFacts): Check {
  const check = base('membership', 'rights');
  if (member === undefined) {
    return { ...check, state: 'note', detail: 'whoami.exe does not name the groups of this user' };
  }
  const { elevated, hypervAdministrator } = member;
  if (elevated || hypervAdministrator) {
    const reasons = [
      ...(elevated ? ['runs as administrator'] : []),
      ...(hypervAdministrator ? ['in Hyper-V Administrators'] : []),
    ];
    return { ...check, state: 'ok', detail: reasons.join(', ') };
  }
  return {
    ...check,
    state: 'missing',
    detail: 'neither administrator nor in Hyper-V Administrators (S-1-5-32-578)',
    remedy: JOIN,
  };
}

function libraryCheck({ name, path, file }: LibraryFacts, architecture: string): Check {
  const check = base(name, name);
  if (file === undefined) {
    return { ...check, state: 'missing', detail: `there is no ${path}`, remedy: ENABLE };
  }
  if (file instanceof Error) {
    return { ...check, state: 'missing', detail: file.message, remedy: 'run "sfc /scannow"' };
  }
  if (file.architecture !== architecture) {
    return {
      ...check,
      state: 'missing',
      detail: `${path} is for ${file.architecture}, and this Node for ${architecture}`,
      remedy: `install Node for ${file.architecture}`,
    };
  }
  const abi = ABIS[name];
  if (abi === undefined) throw new Error(`Cannot check ${name}: no table describes it`);
  const exported = new Set(file.exports);
  const missing = Object.keys(abi.functions).filter((each) => !exported.has(each));
  const count = Object.keys(abi.functions).length;
  const detail = `${file.fileVersion ?? 'no version'}, ${count - missing.length} of ${count} functions`;
  if (missing.length === 0) return { ...check, state: 'ok', detail };
  const isUseless = missing.length === count;
  return {
    ...check,
    state: isUseless ? 'missing' : 'note',
    detail: `${detail}; not: ${missing.join(', ')}`,
    remedy: sinceOf(abi, missing),
  };
}

/** What would have the functions that are missing, each Windows once. */
function sinceOf(abi: LibraryAbi, missing: readonly string[]): string {
  const versions = new Set(missing.map((name) => abi.functions[name]?.since ?? 'a newer Windows'));
  return `they come with ${[...versions].join('; with ')}; only calls of them fail`;
}
