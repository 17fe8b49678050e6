import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT, type HresultName } from '../../hcs/hresult.ts';
import { SavedStateError, STREAM_OFFSET } from '../saved-state-head.ts';
import type { MachinePlan } from './machine-plan.ts';
import { diskId } from './resources/scsi.ts';
import { isVirtiofs, noShareInClone } from './resources/virtiofs.ts';
import { RootPorts } from './root-ports.ts';
import { openSavedState, type SavedMachine } from './saved-state.ts';

/** A machine that was saved as a template, for its clones. */
export interface Template {
  readonly machine: SavedMachine;
  /** File with all but the RAM. */
  readonly state: string;
  /** File with the RAM, which stays as it is while the template is there. */
  readonly ram: string;
}

/** What a new machine goes on from. */
export interface RestoreSource {
  readonly machine: SavedMachine;
  /** Where QEMU reads the state. */
  readonly uri: string;
  /** File with the state. */
  readonly path: string;
  /** Where the state begins in it, in bytes. */
  readonly offset: number;
  /** RAM that is not in the state. */
  readonly ram: string | undefined;
}

/** What a new machine goes on from, while its state is still being looked at. */
export interface OpenedSource {
  readonly source: RestoreSource;
  /**
   * Resolves when the state may be used. Nothing has to wait for it.
   * @throws HcsError ERROR_VID_SAVED_STATE_CORRUPT when it is damaged
   */
  readonly whole: Promise<void>;
}

/**
 * What a machine goes on from, if it does. A file is read to its end meanwhile, as QEMU takes its time to start as well.
 * @param qemu version of the QEMU that will run it
 * @throws HcsError ERROR_VID_SAVED_STATE_CORRUPT for a file that is damaged or of another kind,
 * ERROR_VID_SAVED_STATE_INCOMPATIBLE when the state is of a machine that the document does not describe
 */
export async function restoreSource(
  plan: MachinePlan,
  template: Template | undefined,
  qemu: string,
): Promise<OpenedSource | undefined> {
  const path = plan.savedState;
  if (template !== undefined) {
    const { machine, state, ram } = template;
    const share = plan.shares.find(({ kind }) => kind === 'VirtualSmb');
    if (share !== undefined) throw noShareInClone(share);
    checkFit(machine, plan, qemu);
    const source = { machine, uri: uriOf(state, 0), path: state, offset: 0, ram };
    return { source, whole: Promise.resolve() };
  }
  if (path === undefined) return undefined;
  try {
    const { machine, whole } = await openSavedState(path);
    checkFit(machine, plan, qemu);
    const source = {
      ...{ machine, path, ram: undefined },
      ...{ uri: uriOf(path, STREAM_OFFSET), offset: STREAM_OFFSET },
    };
    const checked = whole.catch(throwUnusable);
    checked.catch(() => undefined); // Whoever waits for it is told.
    return { source, whole: checked };
  } catch (error) {
    return throwUnusable(error);
  }
}

function throwUnusable(error: unknown): never {
  if (!(error instanceof SavedStateError)) throw error;
  throw failure('ERROR_VID_SAVED_STATE_CORRUPT', error.message);
}

/** A state for QEMU. @param name of the file, for QEMU */
export function uriOf(name: string, offset: number): string {
  return `file:${name}${offset === 0 ? '' : `,offset=${offset}`}`;
}

/** A stream fits the make of machine that wrote it and no other; what is plugged outside may differ. */
function checkFit(saved: SavedMachine, plan: MachinePlan, qemu: string): void {
  const problem =
    saved.qemu === qemu
      ? difference(makeOf(saved.plan, saved.ports), makeOf(plan, saved.ports), '')
      : `it was saved by QEMU ${saved.qemu}, and this is QEMU ${qemu}`;
  if (problem === undefined) return;
  throw failure(
    'ERROR_VID_SAVED_STATE_INCOMPATIBLE',
    `Cannot restore the machine: ${problem}; create it from the document that it was saved with, and with what was added and removed since it was created`,
  );
}

/** What the guest can tell of a plan: files, sockets and networks may have moved. */
function makeOf(plan: MachinePlan, ports: SavedMachine['ports']): unknown {
  const taken = new RootPorts(ports);
  const {
    console,
    processorLimits: _limits,
    crashFiles: _crashFiles,
    hosting: _hosting,
    ...rest
  } = plan;
  const { savedState: _state, guestState: _guestState, isTransient: _transient, ...others } = rest;
  const { comPorts: _comPorts, storageLimits: _storageLimits, ...inside } = others;
  // The guest has let go of its sockets, and gets new ones.
  const { hvSocket: _hvSocket, ...make } = inside;
  return {
    ...make,
    disks: byName(plan.disks.map((disk) => [diskId(disk), disk])),
    adapters: byName(plan.adapters.map(({ id, mac }) => [id, { mac }])),
    persistentMemory: byName(plan.persistentMemory.map((memory) => [memory.number, memory])),
    tpm: plan.tpm !== undefined,
    // A share that came to the running machine is of another kind than one of the document.
    shares: plan.shares
      .filter((share) => !isVirtiofs(share, taken))
      .map(({ tag, path, readOnly }) => ({ tag, path, readOnly })),
    virtiofs: byName(
      plan.shares
        .filter((share) => isVirtiofs(share, taken))
        .map(({ tag, readOnly }) => [tag, { readOnly }]),
    ),
    sharedMemory: byName(
      plan.sharedMemory.map(({ name, length, guestWrites }) => [name, { length, guestWrites }]),
    ),
    serialPorts: byName(
      plan.serialPorts.map(({ number, name, isConsole }) => [number - 1, { name, isConsole }]),
    ),
    console: {
      ...console,
      monitor: console.monitor === undefined ? undefined : { ...console.monitor, socket: '' },
    },
  };
}

/** In whatever order they came. */
function byName(entries: readonly (readonly [string | number, unknown])[]): unknown {
  return Object.fromEntries(entries);
}

/** The first place where two plans differ, in words. */
function difference(saved: unknown, asked: unknown, at: string): string | undefined {
  if (typeof saved === 'object' && saved !== null && typeof asked === 'object' && asked !== null) {
    for (const key of new Set([...Object.keys(saved), ...Object.keys(asked)])) {
      const path = at === '' ? key : `${at}.${key}`;
      const inner = difference(
        (saved as Record<string, unknown>)[key],
        (asked as Record<string, unknown>)[key],
        path,
      );
      if (inner !== undefined) return inner;
    }
    return undefined;
  }
  if (saved === asked) return undefined;
  if (asked === undefined) return `it had ${at}, and the document has not`;
  if (saved === undefined) return `it had no ${at}, and the document has`;
  return `its ${at} was ${JSON.stringify(saved)}, and the document says ${JSON.stringify(asked)}`;
}

function failure(code: HresultName, message: string): HcsError {
  return new HcsError({ function: 'HcsCreateComputeSystem', hresult: HRESULT[code], message });
}
