import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Adoption, EngineExit, EngineRequest } from '../../compute/engine.ts';
import type { OwnedResources } from '../../compute/owned-resources.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import {
  identifyProcess,
  isAlive,
  type ProcessIdentity,
} from '../../provision/process-identity.ts';
import { hasPanicRecord } from './crash-log.ts';
import type { EngineRecord } from './engine-record.ts';
import type { LiveMachine } from './live-machine.ts';
import { exitOf } from './machine-exit.ts';
import { readOwnFileNow } from './own-file.ts';
import { removeOwned } from './owned-files.ts';
import { tailOf } from './process-end.ts';
import { killForeign, MACHINE_VARIABLE, outputFile } from './qemu-process.ts';
import type { QmpClient, QmpEvent } from './qmp.ts';
import { limitProcessors } from './resources/processor.ts';
import { takenPorts } from './root-ports.ts';
import { SideProcesses } from './side-processes.ts';
import { WatchedFolder } from './watched-folder.ts';

/** Milliseconds between looks at what takes its time. */
const POLL_MS = 5;

/** What a machine has become while nobody watched it. */
export interface CaughtUp {
  readonly state: (Adoption & { kind: 'machine' })['state'];
  readonly isPaused: boolean;
  /** Events that nobody has heard: QEMU does not repeat any. */
  readonly missed: readonly QmpEvent[];
}

/**
 * Asks a machine what it has become, and makes `machine` true again. A save that is still being written is given up.
 * @param crashLog file of the guest's error records
 */
export async function catchUp(
  machine: LiveMachine,
  record: EngineRecord,
  crashLog: string,
): Promise<CaughtUp> {
  const { qmp } = machine;
  await endSave(qmp);
  const { status } = (await qmp.execute('query-status')) as { readonly status: string };
  machine.ports.replace(await takenPorts(qmp));
  const isWaiting = status === 'prelaunch' || status === 'inmigrate';
  // What it was to go on from is in it as soon as it does not wait for that any more.
  if (status !== 'inmigrate') machine.waitsForState = false;
  const isPaused = status === 'paused' || status === 'postmigrate';
  machine.hasStarted = record.hasStarted || !(isWaiting || isPaused);
  if (record.plan.processorLimits !== undefined) {
    // The group is there with its limits. Without the right to it now, only its folder will be left.
    await limitProcessors(machine, record.plan.processorLimits).catch(() => undefined);
  }
  const hasPanicked = status === 'guest-panicked' || hasPanicRecord(readOwnFileNow(crashLog));
  return {
    state: stateOf(machine, record, status),
    isPaused: isPaused && machine.hasStarted,
    missed: [
      ...(hasPanicked ? [{ event: 'GUEST_PANICKED', data: {} }] : []),
      // Only a guest shuts it down without ending it.
      ...(status === 'shutdown' || status === 'guest-panicked'
        ? [{ event: 'SHUTDOWN', data: { guest: true } }]
        : []),
    ],
  };
}

function stateOf(
  { hasStarted }: LiveMachine,
  { template }: EngineRecord,
  status: string,
): CaughtUp['state'] {
  if (!hasStarted) return 'Created';
  // A template is noted before QEMU writes it.
  if (status === 'postmigrate') return template === undefined ? 'Paused' : 'SavedAsTemplate';
  return status === 'paused' ? 'Paused' : 'Running';
}

/** Gives up a migration into a file whose end nobody would see. */
async function endSave(qmp: QmpClient): Promise<void> {
  const OVER = [undefined, 'none', 'completed', 'failed', 'cancelled'];
  let isGivenUp = false;
  for (;;) {
    const { status } = (await qmp.execute('query-migrate')) as { readonly status?: string };
    if (OVER.includes(status)) return;
    const run = (await qmp.execute('query-status')) as { readonly status: string };
    if (run.status !== 'inmigrate' && !isGivenUp) {
      isGivenUp = true;
      await qmp.execute('migrate_cancel');
    }
    await delay(POLL_MS);
  }
}

/** Removes what a machine has left that has ended while nobody watched it. @returns how it ended */
export async function buryMachine(
  record: EngineRecord,
  owned: OwnedResources | undefined,
): Promise<EngineExit> {
  const folder = WatchedFolder.adopt(record.folder, owned);
  const sides = new SideProcesses(folder);
  sides.adopt(record.sides);
  await sides.endAll();
  // What those have forked may be there longer than they.
  await endProcessesOf([record.folder]);
  for (const path of record.ownSockets) rmSync(path, { force: true });
  if (owned !== undefined) await removeOwned(owned);
  const output = tailOf(outputFile(folder));
  await folder.remove();
  if (record.cause !== undefined) {
    return exitOf(record.cause, { code: null, signal: null, output }, {});
  }
  const words = output === '' ? '' : `: ${output.split('\n').slice(-4).join(' / ')}`;
  return {
    exitType: 'UnexpectedExit',
    status: HRESULT.HCS_E_UNEXPECTED_EXIT,
    detail: `QEMU ended while nobody watched it${words}`,
  };
}

/**
 * Ends the processes of machines that nobody knows, and removes their folders.
 * @param parent folder in which the folders of machines are
 * @param known folders of machines that stay
 * @returns how many machines there were
 */
export async function reapMachines(parent: string, known: readonly string[]): Promise<number> {
  const unknown = WatchedFolder.allKept(parent).filter((folder) => !known.includes(folder));
  if (unknown.length === 0) return 0;
  await endProcessesOf(unknown);
  for (const folder of unknown) rmSync(folder, { recursive: true, force: true });
  return unknown.length;
}

/** Ends programs beside a machine that were being started when its owner ended, and that nothing is connected to. */
export async function endStrays({ folder, process: qemu, sides }: EngineRecord): Promise<void> {
  const groups = new Set(
    [qemu, ...Object.values(sides).map(({ identity }) => identity)].map(({ pid }) => pid),
  );
  await end(processesOf([folder]).filter(({ pid }) => !groups.has(groupOf(pid))));
}

/** The process group of a process (proc(5), /proc/pid/stat, 5); programs beside QEMU lead one with all that they fork. */
function groupOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
  } catch {
    return pid; // It has ended.
  }
}

async function endProcessesOf(folders: readonly string[]): Promise<void> {
  await end(processesOf(folders));
}

async function end(found: readonly ProcessIdentity[]): Promise<void> {
  for (const identity of found) killForeign(identity);
  for (const identity of found) while (isAlive(identity)) await delay(POLL_MS);
}

/** Processes that were started for machines with these folders, whatever they run. */
function processesOf(folders: readonly string[]): ProcessIdentity[] {
  const marks = folders.map((folder) => `${MACHINE_VARIABLE}=${folder}`);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((name) => identifyProcess(Number(name)))
    .filter((identity) => identity !== undefined)
    .filter(({ pid }) => {
      try {
        const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
        return marks.some((mark) => variables.includes(mark));
      } catch {
        return false; // It has ended, or is another user's.
      }
    });
}

/** A request whose callbacks are called from the turn of the event loop after `begin` on. */
export function held(request: EngineRequest): {
  readonly request: EngineRequest;
  readonly begin: () => void;
} {
  let begin = (): void => {};
  const begun = new Promise<void>((resolve) => {
    begin = () => void setImmediate(resolve);
  });
  return {
    request: {
      ...request,
      exited: (exit) => void begun.then(() => request.exited(exit)),
      notify: (event) => void begun.then(() => request.notify(event)),
    },
    begin,
  };
}
