import { existsSync, readFileSync } from 'node:fs';
import { runtimeIdOf } from '../../../src/compute/system-id.ts';
import { vmAccounts } from '../../../src/engines/qemu/vm-account.ts';
import { permissionOf } from '../../../src/ffi/posix-acl.ts';
import type { Seen } from './killed-host.ts';
import type { MachineProcess } from './machine-look.ts';
import type { MachineState } from './machine-model.ts';

/** Where to look. */
export interface Places {
  /** Processes of all machines. */
  readonly processes: readonly MachineProcess[];
  /** File of the machine's TPM. */
  readonly tpmFile: string;
  /** Files that it is granted for good, and until its end. */
  readonly granted: string;
  readonly lent: string;
}

/** What is beside the machine of an id: programs, each once, the file of its TPM, and its rights on files. */
export function besideMachine(id: string, places: Places): Seen {
  const { processes } = places;
  const folder = processes.find((one) => one.id === id)?.folder;
  const beside = processes.filter((one) => one.folder === folder && one.id === undefined);
  const seen = {
    programs: beside.filter(leadsGroup).map(nameOf).sort(),
    tpmFile: existsSync(places.tpmFile),
    granted: isGranted(id, places.granted),
    lent: isGranted(id, places.lent),
  };
  return (state) => {
    const isRight =
      `${seen.programs}` === `${programsOf(state)}` &&
      seen.tpmFile === state.tpmFile &&
      seen.granted === state.granted &&
      (state.lent === 'maybe' || seen.lent === (state.lent === 'yes'));
    return isRight ? undefined : JSON.stringify(seen);
  };
}

/** Programs that serve devices of a machine. */
function programsOf({ shares, sockets, tpm }: MachineState): readonly string[] {
  return [
    ...shares.map((share) => `virtiofsd of ${share}`),
    ...(tpm ? ['swtpm'] : []),
    ...(sockets ? ['vhost-device-vsock'] : []),
  ].sort();
}

function nameOf({ command }: MachineProcess): string {
  const folder = command[command.indexOf('--shared-dir') + 1];
  if (command.includes('--shared-dir')) return `virtiofsd of ${folder?.split('/').at(-1)}`;
  if (command.includes('--tpm2')) return 'swtpm';
  return command.includes('--guest-cid') ? 'vhost-device-vsock' : command.join(' ');
}

/** Whether it was started by the service: what such a program forks stays in its group (proc(5), /proc/pid/stat, 5). */
function leadsGroup({ pid }: MachineProcess): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]) === pid;
  } catch {
    return false; // It has ended.
  }
}

/** Whether the list of a file has an account of the machine. */
function isGranted(id: string, path: string): boolean {
  return vmAccounts(runtimeIdOf(id)).some(
    ({ uid }) => permissionOf(path, 'access', { kind: 'user', id: uid }) !== undefined,
  );
}
