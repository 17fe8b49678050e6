/** What becomes of one machine by the calls that clients make, as the contract of the service has it. */

/** `Ended`: it has ended, and nobody has heard of it yet. */
export type Life = 'absent' | 'Created' | 'Running' | 'Paused' | 'SavedAsTemplate' | 'Ended';

/** A folder that a machine may share, by the kind of share and its tag. */
export type ShareName = 'plan9' | 'smb';

/** What of a machine is kept when it is saved. */
export interface Parts {
  /** Numbers of its disks on the controller, in order. */
  readonly disks: readonly number[];
  readonly adapter: boolean;
  /** In order. */
  readonly shares: readonly ShareName[];
  /** With it, it boots by UEFI. */
  readonly tpm: boolean;
}

/** What stays when a machine is no more. */
export interface Kept {
  /** What is in the file of the id. */
  readonly saved: Parts | undefined;
  /** Whether the file of its TPM is beside that of its firmware. */
  readonly tpmFile: boolean;
  /** Whether the machine was granted a file, for good. */
  readonly granted: boolean;
}

/** One machine under one id. */
export interface MachineState extends Parts, Kept {
  readonly life: Life;
  /** Whether it waits for a saved state, and takes no changes until it is started. */
  readonly waits: boolean;
  /** Whether it ends with its last handle. */
  readonly isHeld: boolean;
  /** Processors/Limit; 0: none. */
  readonly limit: number;
  /** Whether its guest's socket device is there, which stays when services go. */
  readonly sockets: boolean;
  /** Whether its guest may be connected to. */
  readonly service: boolean;
  /** Whether its memory is partly a template's. */
  readonly isClone: boolean;
  /** Whether its state was written since it was paused. */
  readonly isWritten: boolean;
  /** Whether it was granted a file until its end; `maybe` once it has ended, until the daemon has, too. */
  readonly lent: 'no' | 'yes' | 'maybe';
  /** How it has ended: told when it is `Ended`; when it is `absent`, the next daemon may tell it once more. */
  readonly exit: ExitType | undefined;
}

/** `ExitType` of SystemExitStatus. */
export type ExitType = 'ForcedExit' | 'UnexpectedExit';

/** Calls that change the parts of a machine. */
export type Change =
  | { readonly kind: 'addDisk' | 'removeDisk' | 'updateDisk'; readonly lun: number }
  | { readonly kind: 'addShare'; readonly share: ShareName }
  | { readonly kind: 'limit'; readonly limit: number }
  | { readonly kind: 'addAdapter' | 'addService' | 'removeService' };

/** Calls that clients make. */
export type Operation =
  | Change
  | {
      readonly kind: 'create';
      readonly disks: readonly number[];
      readonly tpm: boolean;
      readonly isHeld: boolean;
    }
  | { readonly kind: 'restore'; readonly parts: Parts }
  /** What goes on from a template that has no disks and shares. */
  | { readonly kind: 'clone'; readonly template: string; readonly adapter: boolean }
  | {
      readonly kind:
        | 'start'
        | 'pause'
        | 'resume'
        | 'save'
        | 'saveTemplate'
        | 'grant'
        | 'revoke'
        | 'lend'
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
export const NOT_SUPPORTED = 'ERROR_NOT_SUPPORTED';
const NOTHING: MachineState = {
  ...{ life: 'absent', waits: false, isHeld: false, disks: [], adapter: false, limit: 0 },
  ...{ shares: [], tpm: false, sockets: false, service: false, isClone: false, isWritten: false },
  ...{ saved: undefined, tpmFile: false, granted: false, lent: 'no', exit: undefined },
};

/** An id before anything was created. */
export const NEVER_WAS: MachineState = NOTHING;

/** A machine that is no more; its files stay. */
export function gone(state: MachineState): MachineState {
  return { ...NOTHING, ...keptOf(state), lent: state.lent === 'no' ? 'no' : 'maybe' };
}

/** A machine that has ended, of which nobody has heard. */
export function ended(state: MachineState, exit: ExitType): MachineState {
  return { ...gone(state), life: 'Ended', exit };
}

/** A machine that a client has ended. Whoever has a handle when the daemon is killed may ask the next one what became of it. */
export function terminated(state: MachineState): MachineState {
  return { ...gone(state), exit: 'ForcedExit' };
}

export function keptOf({ saved, tpmFile, granted }: MachineState): Kept {
  return { saved, tpmFile, granted };
}

export function isThere({ life }: MachineState): boolean {
  return life !== 'absent' && life !== 'Ended';
}

/** Whether an operation ends the machine. */
export function endsMachine({ kind }: Operation): boolean {
  return kind === 'terminate' || kind === 'closeLast';
}

export function isCreation({ kind }: Operation): boolean {
  return kind === 'create' || kind === 'restore' || kind === 'clone';
}
