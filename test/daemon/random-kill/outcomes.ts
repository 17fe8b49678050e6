import { changed } from './machine-changes.ts';
import {
  type Circumstances,
  gone,
  INVALID,
  isThere,
  type Life,
  type MachineState,
  NOT_SUPPORTED,
  type Operation,
  type Outcome,
  type Parts,
  STOPPED,
  terminated,
} from './machine-model.ts';

/** All ways in which an operation may end that finds the machine so. */
export function outcomes(
  operation: Operation,
  state: MachineState,
  circumstances: Circumstances,
): readonly Outcome[] {
  switch (operation.kind) {
    case 'create':
    case 'restore':
    case 'clone':
      return created(operation, state, circumstances);
    case 'closeLast':
      return [{ result: 'ok', state: terminated(state) }];
    case 'grant':
    case 'revoke':
      return [{ result: 'ok', state: { ...state, granted: operation.kind === 'grant' } }];
    case 'lend':
      return [{ result: 'ok', state: { ...state, lent: 'yes' } }];
    default:
  }
  const { metEnd, isHeld } = circumstances;
  const stopped = { result: STOPPED, state };
  if (state.life === 'absent') {
    const late = metEnd || isHeld ? [stopped] : [];
    const told = late.length > 0 && operation.kind === 'look' ? [{ result: 'Stopped', state }] : [];
    return [{ result: 'HCS_E_SYSTEM_NOT_FOUND', state }, ...late, ...told];
  }
  if (state.life === 'Ended') {
    const result = operation.kind === 'look' ? 'Stopped' : STOPPED;
    return [
      { result, state: gone(state) },
      { result, state },
    ];
  }
  const usual = whileThere(operation, state);
  if (!metEnd) return usual;
  // The end overtakes calls; a save may have written its file.
  const written = { ...state, saved: partsOf(state) };
  return [
    ...usual,
    stopped,
    ...(operation.kind === 'start' ? [{ result: 'HCS_E_TERMINATED_DURING_START', state }] : []),
    ...(operation.kind === 'save' ? [{ result: STOPPED, state: written }] : []),
  ];
}

function created(
  operation: Operation & { readonly kind: 'create' | 'restore' | 'clone' },
  state: MachineState,
  { metCreation }: Circumstances,
): readonly Outcome[] {
  const taken = { result: 'HCS_E_SYSTEM_ALREADY_EXISTS', state };
  if (isThere(state)) return [taken];
  const fresh: MachineState = { ...gone(state), ...madeBy(operation), life: 'Created' };
  const made = { ...fresh, tpmFile: fresh.tpmFile || fresh.tpm };
  return [{ result: 'ok', state: made }, ...(metCreation ? [taken] : [])];
}

function madeBy(
  operation: Operation & { readonly kind: 'create' | 'restore' | 'clone' },
): Partial<MachineState> {
  switch (operation.kind) {
    case 'create': {
      const { disks, tpm, isHeld } = operation;
      return { disks, tpm, isHeld };
    }
    case 'restore':
      return { ...operation.parts, waits: true };
    case 'clone':
      return { adapter: operation.adapter, waits: true, isClone: true };
  }
}

function whileThere(
  operation: Exclude<Operation, { readonly kind: 'create' | 'restore' | 'clone' }>,
  state: MachineState,
): readonly Outcome[] {
  const { life } = state;
  const refused = (result: string): readonly Outcome[] => [{ result, state }];
  const from = (legal: Life, change: Partial<MachineState>): readonly Outcome[] =>
    life === legal ? [{ result: 'ok', state: { ...state, ...change } }] : refused(INVALID);
  switch (operation.kind) {
    case 'look':
      return refused(life);
    case 'start':
      return from('Created', { life: 'Running', waits: false });
    case 'pause':
      return from('Running', { life: 'Paused' });
    case 'resume':
      return from('Paused', { life: 'Running', isWritten: false });
    case 'save':
      return from('Paused', { saved: partsOf(state), isWritten: true });
    case 'saveTemplate': {
      const problems = [
        // QEMU writes the state of a paused machine once.
        ...(life !== 'Paused' || state.isWritten ? [INVALID] : []),
        ...(life === 'Paused' && (state.isClone || state.shares.length > 0) ? [NOT_SUPPORTED] : []),
      ];
      return problems.length > 0
        ? problems.flatMap(refused)
        : from('Paused', { life: 'SavedAsTemplate' });
    }
    case 'terminate':
      return [{ result: 'ok', state: terminated(state) }];
    case 'closeLast':
    case 'grant':
    case 'revoke':
    case 'lend':
      throw new Error(`${operation.kind} does not need the machine`);
    default:
  }
  const change = changed(operation, state);
  if (typeof change === 'string') return refused(change);
  return [{ result: 'ok', state: { ...state, ...change } }];
}

function partsOf({ disks, adapter, shares, tpm }: MachineState): Parts {
  return { disks, adapter, shares, tpm };
}
