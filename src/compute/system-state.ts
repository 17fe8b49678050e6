import type { HresultName } from '../hcs/hresult.ts';

/** States of a system as documents name them; a system whose creation is pending is `Created` only afterwards. */
export type SystemState = 'Created' | 'Running' | 'Paused' | 'SavedAsTemplate' | 'Stopped';

/** Calls whose legality depends on the state. */
export type StateCall =
  | 'start'
  | 'shutDown'
  | 'terminate'
  | 'pause'
  | 'resume'
  | 'save'
  | 'crash'
  | 'modify'
  | 'properties';

/**
 * In which states a call is legal. Anywhere else it fails with HCS_E_INVALID_STATE, and in `Stopped` with
 * HCS_E_SYSTEM_ALREADY_STOPPED; only basic properties, which tell how the system ended, can still be had there.
 */
const LEGAL_STATES: Readonly<Record<StateCall, readonly SystemState[]>> = {
  start: ['Created'],
  shutDown: ['Running'],
  terminate: ['Created', 'Running', 'Paused', 'SavedAsTemplate'],
  pause: ['Running'],
  resume: ['Paused'],
  save: ['Paused'],
  crash: ['Running'],
  modify: ['Created', 'Running'],
  properties: ['Created', 'Running', 'Paused', 'SavedAsTemplate'],
};

/** Why a call is not legal in a state, or undefined when it is. */
export function illegality(call: StateCall, state: SystemState): HresultName | undefined {
  if (LEGAL_STATES[call].includes(state)) return undefined;
  return state === 'Stopped' ? 'HCS_E_SYSTEM_ALREADY_STOPPED' : 'HCS_E_INVALID_STATE';
}
