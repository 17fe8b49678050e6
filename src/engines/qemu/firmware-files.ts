import { readFileSync, writeFileSync } from 'node:fs';
import { type Firmware, findFirmware } from '../../provision/find-firmware.ts';
import type { MachinePlan } from './machine-plan.ts';
import type { WatchedFolder } from './watched-folder.ts';

/**
 * The firmware with the machine's variables: those of the document's file, else a copy that ends with the machine. Where
 * certificates are to be applied they are put into a file that is as new; one that was booted with keeps its own.
 * @throws ProvisionError when there is no such firmware
 */
export function firmwareFor(
  folder: WatchedFolder,
  { guestState, isTransient, secureBoot }: MachinePlan,
): Firmware {
  const { variables, ...rest } = findFirmware({ secureBoot: firmwareKind(secureBoot) });
  const isNew = guestState !== undefined && secureBoot === 'Apply' && isBlank(guestState);
  const source = guestState === undefined || isNew ? variables.path : guestState;
  const path = guestState === undefined || isTransient ? folder.file('variables') : guestState;
  // Into the file that is there: a copy would take its mode along, and with it what machines were granted.
  // In the machine's folder programs of it run by now, which may have put a link there.
  const flag = path === guestState ? 'w' : 'wx';
  if (path !== source) writeFileSync(path, readFileSync(source), { mode: 0o600, flag });
  return { ...rest, variables: { ...variables, path } };
}

function firmwareKind(secureBoot: MachinePlan['secureBoot']): 'enrolled' | 'empty' | undefined {
  if (secureBoot === undefined) return undefined;
  return secureBoot === 'Apply' ? 'enrolled' : 'empty';
}

/** Whether a file is as HcsCreateEmptyGuestStateFile makes it. */
export function isBlank(guestState: string): boolean {
  return readFileSync(findFirmware().variables.path).equals(readFileSync(guestState));
}
