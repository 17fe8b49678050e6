import { hresultName } from '../hcs/hresult.ts';

/** HRESULTs that HDV functions are known to answer, unsigned, by name. */
export const HDV_RESULTS = {
  E_NOTIMPL: 0x8000_4001,
  E_FAIL: 0x8000_4005,
  E_UNEXPECTED: 0x8000_ffff,
  RPC_E_TOO_LATE: 0x8001_0119,
  E_ACCESSDENIED: 0x8007_0005,
  E_HANDLE: 0x8007_0006,
  E_OUTOFMEMORY: 0x8007_000e,
  ERROR_NOT_SUPPORTED: 0x8007_0032,
  E_INVALIDARG: 0x8007_0057,
  ERROR_ALREADY_EXISTS: 0x8007_00b7,
  ERROR_NOT_FOUND: 0x8007_0490,
  ERROR_INVALID_ADDRESS: 0x8007_01e7,
  ERROR_NOT_ENOUGH_QUOTA: 0x8007_0718,
  ERROR_HV_INVALID_PARAMETER: 0xc035_0005,
  ERROR_VID_PROCESS_ALREADY_SET: 0xc037_0030,
} as const;

/** Name of a known HRESULT of HDV. */
export type HdvResultName = keyof typeof HDV_RESULTS;

const names = new Map<number, string>(
  Object.entries(HDV_RESULTS).map(([name, value]) => [value, name]),
);

/** A failing HRESULT of one of the Hdv functions. */
export class HdvError extends Error {
  override readonly name = 'HdvError';
  /** The function that failed, such as `'HdvCreateDeviceInstance'`. */
  readonly function: string;
  /** The HRESULT, unsigned. */
  readonly hresult: number;
  /** Its name, or the hexadecimal text of one that has none here. */
  readonly code: string;

  constructor(
    functionName: string,
    hresult: number | HdvResultName,
    reason: string,
    options?: ErrorOptions,
  ) {
    const value = typeof hresult === 'number' ? hresult >>> 0 : HDV_RESULTS[hresult];
    const code =
      names.get(value) ?? hresultName(value) ?? `0x${value.toString(16).padStart(8, '0')}`;
    super(`${functionName} failed with ${code}: ${reason}`, options);
    this.function = functionName;
    this.hresult = value;
    this.code = code;
  }
}
