import type { SeededRandom } from '../../../src/engines/simulated/random.ts';
import { LUNS } from './linux-machines.ts';
import {
  isCreation,
  isThere,
  type MachineState,
  type Operation,
  type OperationKind,
} from './machine-model.ts';
import type { PossibleStates } from './possible-states.ts';

/** What is usually done next with a machine. */
const NEXT: Readonly<Record<MachineState['life'], readonly OperationKind[]>> = {
  absent: ['create', 'create', 'restore', 'look'],
  Ended: ['create', 'restore', 'look'],
  Created: ['start', 'start', 'start', 'addDisk', 'addAdapter', 'terminate', 'limit', 'look'],
  Running: [
    ...(['pause', 'pause', 'pause', 'addDisk', 'addDisk', 'removeDisk', 'removeDisk'] as const),
    ...(['updateDisk', 'addAdapter', 'limit', 'limit', 'look', 'terminate', 'closeLast'] as const),
  ],
  Paused: ['save', 'save', 'resume', 'resume', 'look', 'terminate', 'closeLast'],
};
/** One choice in so many is made without a look at the state. */
const ANY_IN = 10;

/** What a client could do with a machine, as far as the workload may. */
export interface ChoiceOptions {
  readonly kinds: readonly OperationKind[];
  /** Whether the client has the handle with which the machine ends. */
  readonly holds: boolean;
  /** What is to be done now, where it can. */
  readonly wanted: OperationKind | undefined;
}

/** Chooses what a client does next with a machine; undefined: nothing now. */
export function chooseOperation(
  random: SeededRandom,
  machine: PossibleStates,
  { kinds, holds, wanted }: ChoiceOptions,
): Operation | undefined {
  const { states, pending } = machine;
  const state = random.pick(states);
  const next = NEXT[state.life];
  const isAny = random.below(ANY_IN) === 0;
  const isWanted = wanted !== undefined && next.includes(wanted) && random.below(2) === 0;
  const kind = isWanted ? wanted : random.pick(isAny ? kinds : next);
  if (!kinds.includes(kind)) return undefined;
  // A machine that is made while calls to the one before are under way would be mistaken for it.
  const creations = pending.filter(({ operation }) => isCreation(operation));
  const creates = kind === 'create' || kind === 'restore';
  if (pending.length > 0 && creates !== creations.length > 0) return undefined;
  if (pending.length > creations.length && creates) return undefined;
  switch (kind) {
    case 'create':
      return {
        kind,
        disks: kinds.includes('addDisk') ? LUNS.filter(() => random.below(3) === 0) : [],
        isHeld: random.below(5) === 0,
      };
    case 'restore': {
      // What the file has is known only when nobody may be writing it.
      const { saved } = state;
      const isKnown = states.every((one) => JSON.stringify(one.saved) === JSON.stringify(saved));
      if (saved === undefined || !isKnown || states.some(isThere)) return undefined;
      return { kind, parts: saved };
    }
    case 'addDisk':
    case 'removeDisk':
    case 'updateDisk':
      return { kind, lun: random.pick(LUNS) };
    case 'limit':
      return { kind, limit: 10_000 * (1 + random.below(9)) };
    case 'closeLast':
      return holds && states.every(({ isHeld }) => isHeld) ? { kind } : undefined;
    default:
      return { kind };
  }
}
