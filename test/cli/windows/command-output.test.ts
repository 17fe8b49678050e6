import { describe, expect, test } from 'vitest';
import {
  FEATURE_QUERY,
  FEATURES,
  parseFeatures,
  parseGroups,
  parseServiceState,
} from '../../../src/cli/windows/command-output.ts';

const query = (state: string): string =>
  `
SERVICE_NAME: vmcompute 
        TYPE               : 10  WIN32_OWN_PROCESS  
        STATE              : ${state} 
                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_PRESHUTDOWN)
        WIN32_EXIT_CODE    : 0  (0x0)
        SERVICE_EXIT_CODE  : 0  (0x0)
        CHECKPOINT         : 0x0
        WAIT_HINT          : 0x0
`.replaceAll('\n', '\r\n');

describe('sc query', () => {
  test.each([
    ['4  RUNNING', 'running'],
    ['1  STOPPED', 'stopped'],
    ['2  START_PENDING', 'changing'],
    ['3  STOP_PENDING', 'changing'],
  ])('with the state %s says %s', (state, wanted) => {
    expect(parseServiceState(query(state))).toBe(wanted);
  });

  test.each([
    ['[SC] EnumQueryServicesStatus:OpenService FAILED 1060:\r\n\r\nThe specified service does not'],
    ['[SC] EnumQueryServicesStatus:OpenService FEHLER 1060:\r\n\r\nDer angegebene Dienst ist kein'],
  ])('of a service that is not there says so in any language', (text) => {
    expect(parseServiceState(text)).toBe('absent');
  });

  test.each(['', '[SC] OpenSCManager FAILED 5:\r\n\r\nAccess is denied.'])(
    'that says nothing of it is not taken for an answer',
    (text) => {
      expect(parseServiceState(text)).toBeUndefined();
    },
  );
});

const EVERYONE = '"Everyone","Well-known group","S-1-1-0","Mandatory group, Enabled by default"';
const HYPERV = '"BUILTIN\\Hyper-V-Administratoren","Alias","S-1-5-32-578","Verbindliche Gruppe"';
const LONGER = '"X\\Other","Group","S-1-5-32-5780","Mandatory group"';
const level = (id: number): string => `"Mandatory Label\\Level","Label","S-1-16-${id}",""`;

describe('whoami /groups', () => {
  test.each([
    [[EVERYONE, level(8192)], { elevated: false, hypervAdministrator: false }],
    [[EVERYONE, HYPERV, level(8192)], { elevated: false, hypervAdministrator: true }],
    [[EVERYONE, level(12288)], { elevated: true, hypervAdministrator: false }],
    [[HYPERV, level(16384)], { elevated: true, hypervAdministrator: true }],
    [[LONGER, level(8192)], { elevated: false, hypervAdministrator: false }],
  ])('is read by identifiers, not by names: %j', (lines, membership) => {
    expect(parseGroups(lines.join('\r\n'))).toEqual(membership);
  });

  test('that names no integrity level is not taken for an answer', () => {
    expect(parseGroups('PC\\user')).toBeUndefined();
  });
});

describe('the query for features', () => {
  test('asks for every feature by name', () => {
    for (const name of FEATURES) expect(FEATURE_QUERY).toContain(`Name='${name}'`);
  });

  test('is read with the state of each feature', () => {
    const text =
      '{"features":[{"Name":"Microsoft-Hyper-V","InstallState":1},{"Name":"VirtualMachinePlatform","InstallState":2},{"Name":"Containers","InstallState":3},{"Name":"Other","InstallState":9}],"hypervisorPresent":true}\r\n';
    expect(parseFeatures(text)).toEqual({
      features: {
        'Microsoft-Hyper-V': 'enabled',
        VirtualMachinePlatform: 'disabled',
        Containers: 'absent',
        Other: 'unknown',
      },
      hypervisorPresent: true,
    });
  });

  test('may find no feature and no hypervisor', () => {
    expect(parseFeatures('{"features":[],"hypervisorPresent":null}')).toEqual({
      features: {},
      hypervisorPresent: undefined,
    });
  });

  test.each(['', 'Get-CimInstance : Access denied', '[]', 'null', '{"features":1}'])(
    'that prints %j is not taken for an answer',
    (text) => {
      expect(parseFeatures(text)).toBeUndefined();
    },
  );
});
