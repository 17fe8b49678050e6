import type { LibraryAbi, Member } from '../../src/ffi/abi.ts';
import { NativeLibrary } from '../../src/ffi/native-library.ts';

const systemId = ['PCWSTR', 'systemId'] as const;
const slot = ['UINT32', 'slot'] as const;
const bar = ['UINT32', 'bar'] as const;
const offset = ['UINT64', 'offset'] as const;
const threads = ['UINT32', 'threads'] as const;
const accesses = ['UINT32', 'accesses'] as const;

/** What the stand-in of vmdevicehost exports besides HDV: `hdv-guest.h`, `stand-in-links.h` and the end of `vmdevicehost.c`. */
export const STAND_IN_DEVICES_ABI = {
  file: 'vmdevicehost',
  handles: [],
  enums: {},
  structs: {},
  callbacks: {},
  functions: {
    StandInCreateSystem: declare('HRESULT', systemId, ['UINT64', 'memoryInMB']),
    StandInOpenSystem: declare('HRESULT', systemId, ['UINT64 *', 'computeSystem']),
    StandInCloseSystem: declare('HRESULT', systemId, ['UINT64', 'computeSystem']),
    StandInAttachDevice: declare(
      'HRESULT',
      systemId,
      ['PCWSTR', 'instanceId'],
      ['PCWSTR', 'emulatorId'],
      ['PCWSTR', 'hostingModel'],
      ['void *', 'configuration'],
      ['UINT32', 'count'],
    ),
    StandInDetachDevice: declare('HRESULT', systemId, ['PCWSTR', 'instanceId']),
    StandInStartSystem: declare('HRESULT', systemId, ['void *', 'failedInstance']),
    StandInPauseSystem: declare('HRESULT', systemId),
    StandInResumeSystem: declare('HRESULT', systemId),
    StandInDetachSystem: declare('HRESULT', systemId),
    StandInCloseSystemHandle: declare('void', ['UINT64', 'computeSystem']),
    StandInSet: declare('HRESULT', systemId, ['PCWSTR', 'name'], ['UINT64', 'value']),
    StandInGuestFunctions: declare('UINT32', systemId, ['void *', 'words'], ['UINT32', 'capacity']),
    StandInGuestConfig: declare(
      'HRESULT',
      systemId,
      slot,
      ['UINT32', 'offset'],
      ['UINT32', 'width'],
      ['UINT32', 'isWrite'],
      ['void *', 'value'],
    ),
    StandInGuestBar: declare(
      'HRESULT',
      systemId,
      slot,
      bar,
      offset,
      ['UINT32', 'width'],
      ['UINT32', 'isWrite'],
      ['void *', 'value'],
    ),
    StandInGuestMemory: declare(
      'HRESULT',
      systemId,
      ['UINT64', 'gpa'],
      ['UINT64', 'bytes'],
      ['UINT32', 'isWrite'],
      ['void *', 'buffer'],
    ),
    StandInGuestAllocate: declare('UINT64', systemId, ['UINT64', 'bytes'], ['UINT32', 'isHigh']),
    StandInGuestMessages: declare(
      'UINT32',
      systemId,
      ['UINT32', 'timeoutMs'],
      ['void *', 'words'],
      ['UINT32', 'capacity'],
    ),
    StandInGuestHammer: declare(
      'HRESULT',
      systemId,
      slot,
      bar,
      offset,
      ['UINT64', 'length'],
      threads,
      accesses,
      ['UINT64', 'seed'],
      ['UINT32', 'what'],
      ['void *', 'numbers'],
    ),
    StandInGuestMeasure: declare(
      'HRESULT',
      systemId,
      slot,
      bar,
      offset,
      ['UINT32', 'width'],
      ['UINT32', 'isWrite'],
      threads,
      accesses,
      ['UINT32', 'pauseMs'],
      ['void *', 'nanoseconds'],
      ['void *', 'elapsedNs'],
    ),
    StandInThreadsInside: declare('UINT32'),
    StandInLateCalls: declare('HRESULT', ['const void *', 'instanceId'], threads, [
      'void *',
      'results',
    ]),
  },
  unbound: {},
} as const satisfies LibraryAbi;

/** The exports for tests of the library at this path, each bound at its first use. */
export type StandInDevices = NativeLibrary<typeof STAND_IN_DEVICES_ABI>;

/** Opens the stand-in of vmdevicehost as tests use it. */
export function openStandInDevices(path: string): StandInDevices {
  return NativeLibrary.open(path, STAND_IN_DEVICES_ABI);
}

function declare<const Result extends string, const Parameters extends readonly Member[]>(
  result: Result,
  ...parameters: Parameters
): { readonly result: Result; readonly parameters: Parameters; readonly since: string } {
  return { result, parameters, since: 'the stand-in' };
}
