/** What programs of Windows print, read without the words that follow the language of the system. */

/** A service, as `sc query` has it. */
export type ServiceState = 'running' | 'stopped' | 'changing' | 'absent';

/** SERVICE_STATUS.dwCurrentState (winsvc.h). */
const STATES: Readonly<Record<string, ServiceState>> = {
  1: 'stopped',
  2: 'changing',
  3: 'changing',
  4: 'running',
  5: 'changing',
  6: 'changing',
  7: 'changing',
};

/** ERROR_SERVICE_DOES_NOT_EXIST (winerror.h). */
const NO_SERVICE = 1060;

/**
 * The output of `sc query NAME`. `FAILED 1060` is the same in every language.
 * @returns undefined when it is neither
 */
export function parseServiceState(output: string): ServiceState | undefined {
  if (new RegExp(`\\b${NO_SERVICE}\\b`).test(output)) return 'absent';
  // Lines of a number and a word in capitals: TYPE, then STATE. The labels may be translated.
  const numbers = [...output.matchAll(/:\s*([0-9a-f]+)\s+[A-Z][A-Z0-9_]+/g)];
  const state = numbers[1]?.[1];
  return state === undefined ? undefined : STATES[state];
}

/** What the user of a process may do. */
export interface Membership {
  /** Runs with the rights of an administrator, not only as a member of the group. */
  readonly elevated: boolean;
  /** Hyper-V Administrators, S-1-5-32-578. */
  readonly hypervAdministrator: boolean;
}

const HYPERV_ADMINISTRATORS = 'S-1-5-32-578';
/** Integrity levels high and system: what only elevated processes have. */
const ELEVATED = /\bS-1-16-(?:12288|16384)\b/;

/** The output of `whoami /groups /fo csv`. @returns undefined when it has no security identifiers */
export function parseGroups(output: string): Membership | undefined {
  if (!/\bS-1-16-\d+\b/.test(output)) return undefined;
  return {
    elevated: ELEVATED.test(output),
    hypervAdministrator: new RegExp(`\\b${HYPERV_ADMINISTRATORS}(?!\\d)`).test(output),
  };
}

/** Win32_OptionalFeature.InstallState. */
export type FeatureState = 'enabled' | 'disabled' | 'absent' | 'unknown';

/** What WMI says of the system. */
export interface SystemFeatures {
  readonly features: Readonly<Record<string, FeatureState>>;
  /** Does the system run on a hypervisor: its own, or another one's as a guest? */
  readonly hypervisorPresent: boolean | undefined;
}

const INSTALL_STATES: readonly FeatureState[] = ['unknown', 'enabled', 'disabled', 'absent'];

/** Features that a compute service may come with. */
export const FEATURES = [
  'Microsoft-Hyper-V',
  'Microsoft-Hyper-V-Hypervisor',
  'Microsoft-Hyper-V-Services',
  'VirtualMachinePlatform',
  'Containers',
] as const;

/** The PowerShell command whose output {@link parseFeatures} reads. It needs no administrator. */
export const FEATURE_QUERY: string = [
  `$ProgressPreference = 'SilentlyContinue'`,
  `$features = Get-CimInstance Win32_OptionalFeature -Filter "${FEATURES.map((name) => `Name='${name}'`).join(' OR ')}" | Select-Object Name, InstallState`,
  '$system = Get-CimInstance Win32_ComputerSystem',
  '@{ features = @($features); hypervisorPresent = $system.HypervisorPresent } | ConvertTo-Json -Compress -Depth 3',
].join('; ');

/** @returns undefined when it is not what the query prints */
export function parseFeatures(output: string): SystemFeatures | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(output.replace(/^\uFEFF/, ''));
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const { features, hypervisorPresent } = parsed as Readonly<Record<string, unknown>>;
  if (!Array.isArray(features)) return undefined;
  const states: Record<string, FeatureState> = {};
  for (const feature of features as readonly Readonly<Record<string, unknown>>[]) {
    const { Name: name, InstallState: state } = feature;
    if (typeof name === 'string') states[name] = INSTALL_STATES[Number(state)] ?? 'unknown';
  }
  return {
    features: states,
    hypervisorPresent: typeof hypervisorPresent === 'boolean' ? hypervisorPresent : undefined,
  };
}
