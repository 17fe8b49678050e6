/** What becomes of one machine by the calls that clients make, as the contract of the service has it. */

/** `Ended`: it has ended, and nobody has heard of it yet. */
export type Life = 'absent' | 'Created' | 'Running' | 'Paused' | 'Ended';

/** What of a machine is kept when it is saved. */
export interface Parts {
  /** Numbers of its disks on the controller, in order. */
  readonly disks: readonly number[];
  readonly adapter: boolean;
}

/** One machine under one id. */
export interface MachineState extends Parts {
  readonly life: Life;
  /** Whether it waits for a saved state, and takes no changes until it is started. */
  readonly waits: boolean;
  /** Whether it ends with its last handle. */
  readonly isHeld: boolean;
  /** Processors/Limit; 0: none. */
  readonly limit: number;
  /** What is in the file of the id. */
  readonly saved: Parts | undefined;
  /** How it has ended: told when it is `Ended`; when it is `absent`, the next daemon may tell it once more. */
  readonly exit: ExitType | undefined;
}

/** `ExitType` of SystemExitStatus. */
export type ExitType = 'ForcedExit' | 'UnexpectedExit';

/** Calls that a client makes. */
export type Operation =
  | { readonly kind: 'create'; readonly disks: readonly number[]; readonly isHeld: boolean }
  | { readonly kind: 'restore'; readonly parts: Parts }
  | { readonly kind: 'addDisk' | 'removeDisk' | 'updateDisk'; readonly lun: number }
  | { readonly kind: 'limit'; readonly limit: number }
  | {
      readonly kind:
        | 'start'
        | 'pause'
        | 'resume'
        | 'save'
        | 'addAdapter'
        | 'look'
        | 'terminate'
        | 'closeLast';
    };
export type OperationKind = Operation['kind'];

/** How a call may end: `'ok'`, the state that was asked for, or the code of an error. */
export interface Outcome {
  readonly result: string;
  readonly state: MachineState;
}

/** What else went on while a call was under way. */
export interface Circumstances {
  /** Somebody was ending the machine. */
  readonly metEnd: boolean;
  /** Somebody was creating it. */
  readonly metCreation: boolean;
  /** The handle was there before: of a machine that may have ended. */
  readonly isHeld: boolean;
}

export const STOPPED = 'HCS_E_SYSTEM_ALREADY_STOPPED';
export const INVALID = 'HCS_E_INVALID_STATE';
const NOTHING: MachineState = {
  ...{ life: 'absent', waits: false, isHeld: false, disks: [], adapter: false, limit: 0 },
  ...{ saved: undefined, exit: undefined },
};

/** An id before anything was created. */
export const NEVER_WAS: MachineState = NOTHING;

/** A machine that is no more; its file stays. */
export function gone({ saved }: MachineState): MachineState {
  return { ...NOTHING, saved };
}

/** A machine that has ended, of which nobody has heard. */
export function ended({ saved }: MachineState, exit: ExitType): MachineState {
  return { ...NOTHING, life: 'Ended', saved, exit };
}

/** A machine that a client has ended. Whoever has a handle when the daemon is killed may ask the next one what became of it. */
function terminated({ saved }: MachineState): MachineState {
  return { ...NOTHING, saved, exit: 'ForcedExit' };
}

export function isThere({ life }: MachineState): boolean {
  return life !== 'absent' && life !== 'Ended';
}

/** Whether an operation ends the machine. */
export function endsMachine({ kind }: Operation): boolean {
  return kind === 'terminate' || kind === 'closeLast';
}

export function isCreation({ kind }: Operation): boolean {
  return kind === 'create' || kind === 'restore';
}

/** All ways in which an operation may end that finds the machine so. */
export function outcomes(
  operation: Operation,
  state: MachineState,
  circumstances: Circumstances,
): readonly Outcome[] {
  if (isCreation(operation)) return created(operation, state, circumstances);
  if (operation.kind === 'closeLast') return [{ result: 'ok', state: terminated(state) }];
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
  const usual = [whileThere(operation, state)];
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
  operation: Operation,
  state: MachineState,
  { metCreation }: Circumstances,
): readonly Outcome[] {
  const taken = { result: 'HCS_E_SYSTEM_ALREADY_EXISTS', state };
  if (isThere(state)) return [taken];
  const { saved } = state;
  const fresh: MachineState =
    operation.kind === 'restore'
      ? { ...NOTHING, ...operation.parts, life: 'Created', waits: true, saved }
      : operation.kind === 'create'
        ? {
            ...{ ...NOTHING, life: 'Created', saved },
            ...{ disks: operation.disks, isHeld: operation.isHeld },
          }
        : state;
  return [{ result: 'ok', state: fresh }, ...(metCreation ? [taken] : [])];
}

function whileThere(operation: Operation, state: MachineState): Outcome {
  const { life, disks } = state;
  const invalid = { result: INVALID, state };
  const changed = (change: Partial<MachineState>): Outcome => ({
    result: 'ok',
    state: { ...state, ...change },
  });
  const from = (legal: Life, change: Partial<MachineState>): Outcome =>
    life === legal ? changed(change) : invalid;
  switch (operation.kind) {
    case 'look':
      return { result: life, state };
    case 'start':
      return from('Created', { life: 'Running', waits: false });
    case 'pause':
      return from('Running', { life: 'Paused' });
    case 'resume':
      return from('Paused', { life: 'Running' });
    case 'save':
      return from('Paused', { saved: partsOf(state) });
    case 'terminate':
      return { result: 'ok', state: terminated(state) };
    default:
  }
  if (life === 'Paused' || state.waits) return invalid;
  const missing = { result: 'ERROR_NOT_FOUND', state };
  const there = { result: 'ERROR_ALREADY_EXISTS', state };
  switch (operation.kind) {
    case 'addDisk':
      if (disks.includes(operation.lun)) return there;
      return changed({ disks: [...disks, operation.lun].sort() });
    case 'removeDisk':
      if (!disks.includes(operation.lun)) return missing;
      return changed({ disks: disks.filter((lun) => lun !== operation.lun) });
    case 'updateDisk':
      return disks.includes(operation.lun) ? changed({}) : missing;
    case 'addAdapter':
      return state.adapter ? there : changed({ adapter: true });
    case 'limit':
      return changed({ limit: operation.limit });
    default:
      throw new Error(`The model does not know ${operation.kind}`);
  }
}

function partsOf({ disks, adapter }: MachineState): Parts {
  return { disks, adapter };
}
