import type { SeededRandom } from '../../../src/engines/simulated/random.ts';
import { LUNS } from './linux-machines.ts';
import {
  isCreation,
  isThere,
  type MachineState,
  type Operation,
  type OperationKind,
  type ShareName,
} from './machine-model.ts';
import type { PossibleStates } from './possible-states.ts';

/** What is usually done next with a machine. */
const NEXT: Readonly<Record<MachineState['life'], readonly OperationKind[]>> = {
  absent: ['create', 'create', 'create', 'restore', 'clone', 'clone', 'look', 'grant', 'revoke'],
  Ended: ['create', 'restore', 'clone', 'look'],
  Created: [
    ...(['start', 'start', 'start', 'start', 'addDisk', 'addAdapter', 'addShare'] as const),
    ...(['addService', 'terminate', 'limit', 'look', 'lend'] as const),
  ],
  Running: [
    ...(['pause', 'pause', 'pause', 'pause', 'addDisk', 'addDisk', 'removeDisk'] as const),
    ...(['removeDisk', 'updateDisk', 'addAdapter', 'addShare', 'addService'] as const),
    ...(['removeService', 'removeService', 'limit', 'limit', 'look'] as const),
    ...(['terminate', 'closeLast', 'grant', 'revoke', 'lend'] as const),
  ],
  Paused: [
    ...(['save', 'save', 'saveTemplate', 'saveTemplate', 'resume', 'resume'] as const),
    ...(['look', 'terminate', 'closeLast'] as const),
  ],
  SavedAsTemplate: ['look', 'look', 'lend', 'grant', 'revoke', 'terminate'],
};
/** One machine in so many has a TPM: its firmware takes processor time. */
const TPM_IN = 8;
const SHARES: readonly ShareName[] = ['plan9', 'smb'];
/** One choice in so many is made without a look at the state. */
const ANY_IN = 10;

/** What a client could do with a machine, as far as the workload may. */
export interface ChoiceOptions {
  readonly kinds: readonly OperationKind[];
  /** Whether the client has the handle with which the machine ends. */
  readonly holds: boolean;
  /** What is to be done now, where it can. */
  readonly wanted: OperationKind | undefined;
  /** All machines by their ids. */
  readonly machines: ReadonlyMap<string, PossibleStates>;
}

/** Chooses what a client does next with a machine; undefined: nothing now. */
export function chooseOperation(
  random: SeededRandom,
  machine: PossibleStates,
  options: ChoiceOptions,
): Operation | undefined {
  const { kinds, holds, wanted } = options;
  const { states, pending } = machine;
  const state = random.pick(states);
  const next = NEXT[state.life];
  const isAny = random.below(ANY_IN) === 0;
  const isWanted = wanted !== undefined && next.includes(wanted) && random.below(2) === 0;
  const kind = isWanted ? wanted : random.pick(isAny ? kinds : next);
  if (!kinds.includes(kind)) return undefined;
  // A machine that is made while calls to the one before are under way would be mistaken for it.
  const creations = pending.filter(({ operation }) => isCreation(operation));
  const creates = kind === 'create' || kind === 'restore' || kind === 'clone';
  if (pending.length > 0 && creates !== creations.length > 0) return undefined;
  if (pending.length > creations.length && creates) return undefined;
  switch (kind) {
    case 'create':
      return {
        kind,
        disks: kinds.includes('addDisk') ? LUNS.filter(() => random.below(3) === 0) : [],
        tpm: kinds.includes('addDisk') && random.below(TPM_IN) === 0,
        isHeld: random.below(5) === 0,
      };
    case 'restore': {
      // What the file has is known only when nobody may be writing it.
      const { saved } = state;
      const isKnown = states.every((one) => JSON.stringify(one.saved) === JSON.stringify(saved));
      if (saved === undefined || !isKnown || states.some(isThere)) return undefined;
      return { kind, parts: saved };
    }
    case 'clone': {
      const found = templates(options.machines);
      if (found.length === 0 || states.some(isThere)) return undefined;
      const [template, adapter] = random.pick(found);
      return { kind, template, adapter };
    }
    case 'save':
    case 'saveTemplate':
      // The guest would be asked to let go of its sockets, and the kernel here does nothing.
      if (states.some(({ sockets }) => sockets) || isPending(machine, 'addService')) {
        return undefined;
      }
      return kind === 'saveTemplate' && states.some(({ tpm }) => tpm) ? undefined : { kind };
    case 'addService':
      return isPending(machine, 'save', 'saveTemplate') ? undefined : { kind };
    case 'addShare':
      return { kind, share: random.pick(SHARES) };
    case 'lend':
      return states.every(isThere) ? { kind } : undefined;
    case 'terminate':
      return isBeingCloned(options) ? undefined : { kind };
    case 'addDisk':
    case 'removeDisk':
    case 'updateDisk':
      return { kind, lun: random.pick(LUNS) };
    case 'limit':
      return { kind, limit: 10_000 * (1 + random.below(9)) };
    case 'closeLast':
      if (!holds || isBeingCloned(options)) return undefined;
      return states.every(({ isHeld }) => isHeld) ? { kind } : undefined;
    default:
      return { kind };
  }
}

function isPending({ pending }: PossibleStates, ...kinds: readonly OperationKind[]): boolean {
  return pending.some(({ operation }) => kinds.includes(operation.kind));
}

/** Whether somebody makes a clone of any machine now: it would come to whatever the end of its template leaves. */
function isBeingCloned({ machines }: ChoiceOptions): boolean {
  return [...machines.values()].some((machine) => isPending(machine, 'clone'));
}

/** Machines that are surely templates, with nothing going on, and whether they have an adapter. Disks are one machine's. */
function templates(machines: ChoiceOptions['machines']): readonly (readonly [string, boolean])[] {
  return [...machines].flatMap(([id, { states, pending }]) => {
    const [state] = states;
    const isSure = states.every(
      ({ life, disks, adapter }) =>
        life === 'SavedAsTemplate' && disks.length === 0 && adapter === state?.adapter,
    );
    return isSure && pending.length === 0 && state !== undefined ? [[id, state.adapter]] : [];
  });
}
