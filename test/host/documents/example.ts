import type { HresultName } from '../../../src/hcs/hresult.ts';

/** A host says no: with this code, blaming this field, for a reason with these words in it. */
export interface Refused {
  readonly code: HresultName;
  /** JSON path; undefined where no field is to blame. */
  readonly path: string | undefined;
  readonly reason: string;
}

/** What a host makes of an example. */
export type Outcome = 'runs' | Refused;

/** What each host makes of one example of the documents that Microsoft and its clients have published. */
export interface Example {
  /** Section of the reference of documents, then what it is. */
  readonly name: string;
  readonly linux: Outcome;
  readonly simulated: Outcome;
}

/** What stands where the published examples have files of Windows. */
export interface Fixtures {
  /** Absolute path of a file or folder by its name in the examples. */
  at(name: string): string;
  /** Name of shared memory of this machine. */
  readonly section: string;
}

export function refused(code: HresultName, path: string | undefined, reason: string): Refused {
  return { code, path, reason };
}

/** The network of the examples. */
export const ENDPOINT = '6a0c7c0e-1d2f-4f3a-9a55-0d3f5b0e1c11';
/** The device of the examples, and its class. */
export const INSTANCE = '0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c01';
export const EMULATOR = 'b2d4f6a8-1c3e-4a5b-9d7f-6e8c0a2b4d60';
/** The CPU group of the examples. */
export const GROUP = '7d3b5f10-2c4e-4d6a-8b9c-1e3f5a7b9d20';
/** A service of sockets between guest and host: vsock port 5000. */
export const SERVICE = '00001388-facb-11e6-bd58-64006a7986d3';

/** Why the simulated host takes no field that says more than processors, memory and PCI. */
export const NOT_SIMULATED = 'guest programs run on processors, memory and PCI alone';
