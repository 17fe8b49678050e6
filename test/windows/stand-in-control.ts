import { type LibraryAbi, type Member, returns } from '../../src/ffi/abi.ts';

const HERE = 'the stand-ins';
const RULE = [
  ['PCWSTR', 'function'],
  ['PCWSTR', 'id'],
  ['UINT32', 'at'],
] as const satisfies readonly Member[];

const table = {
  handles: [],
  enums: {},
  structs: {},
  callbacks: {},
  unbound: {},
} as const;

/** What tests call in the library that all stand-ins share: `recorder.c`. */
export const RECORDER_ABI = {
  ...table,
  file: 'stand-in-recorder',
  functions: {
    StandInTranscript: returns(
      'UINT32',
      HERE,
      ['PCWSTR', 'id'],
      ['void *', 'buffer'],
      ['UINT32', 'capacity'],
    ),
    StandInClearTranscript: returns('void', HERE),
    StandInOpenHandles: returns('UINT32', HERE, ['PCWSTR', 'kind'], ['PCWSTR', 'id']),
    StandInLiveBlocks: returns('UINT32', HERE),
    StandInHold: returns('void', HERE, ...RULE),
    StandInRelease: returns('void', HERE, ...RULE),
    StandInHeld: returns('UINT32', HERE, ...RULE),
    StandInDelay: returns('void', HERE, ...RULE, ['UINT32', 'ms']),
    StandInFailNext: returns('void', HERE, ...RULE, ['HRESULT', 'result'], ['PCWSTR', 'document']),
    StandInClearRules: returns('void', HERE),
  },
} as const satisfies LibraryAbi;

/** What tests call in the stand-in of computecore. */
export const COMPUTE_CONTROL_ABI = {
  ...table,
  file: 'computecore',
  functions: {
    StandInRaiseEvent: returns(
      'UINT32',
      HERE,
      ['PCWSTR', 'id'],
      ['UINT32', 'type'],
      ['PCWSTR', 'data'],
    ),
    StandInEndSystem: returns(
      'UINT32',
      HERE,
      ['PCWSTR', 'id'],
      ['PCWSTR', 'exitType'],
      ['HRESULT', 'status'],
    ),
    StandInExitProcess: returns(
      'UINT32',
      HERE,
      ['PCWSTR', 'id'],
      ['UINT32', 'processId'],
      ['UINT32', 'exitCode'],
    ),
    StandInAllowRemoval: returns('void', HERE, ['PCWSTR', 'id']),
    StandInCallAfterClose: returns(
      'UINT32',
      HERE,
      ['PCWSTR', 'id'],
      ['UINT32', 'type'],
      ['PCWSTR', 'data'],
    ),
    StandInWaitingForCallbacks: returns('UINT32', HERE),
    StandInCompleteAfterClose: returns('UINT32', HERE, ['PCWSTR', 'id']),
  },
} as const satisfies LibraryAbi;

/** What tests call in the stand-in of kernel32. */
export const SYSTEM_CONTROL_ABI = {
  ...table,
  file: 'system',
  functions: { StandInSystemObjects: returns('UINT32', HERE, ['PCWSTR', 'kind']) },
} as const satisfies LibraryAbi;
