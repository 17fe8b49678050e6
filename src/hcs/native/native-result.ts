import type { OutCell } from '../../ffi/abi.ts';
import type { WindowsSystem } from '../../ffi/windows-system.ts';
import { HcsError } from '../hcs-error.ts';
import { HRESULT } from '../hresult.ts';

/** HRESULT_FROM_WIN32(WAIT_TIMEOUT), and WAIT_TIMEOUT itself: what the functions that wait return is not documented. */
const TIMEOUTS: readonly number[] = [
  HRESULT.HCS_E_OPERATION_TIMEOUT,
  HRESULT.ERROR_TIMEOUT,
  0x8007_0102,
  0x0000_0102,
];

/** Whether an HRESULT says that the time was over. */
export function isTimeout(hresult: number): boolean {
  return TIMEOUTS.includes(hresult >>> 0);
}

/** `FAILED` of winerror.h. */
export function isFailure(hresult: number): boolean {
  return hresult >>> 31 === 1;
}

/**
 * The failure of a function of the libraries, with the result document that came with it. Who lacks the right to use
 * the service is told which group has it, also when the service has words of its own.
 */
export function nativeFailure(name: string, hresult: number, document: string | null): HcsError {
  const error = new HcsError({ function: name, hresult, document: document ?? undefined });
  if (error.hresult !== HRESULT.HCS_E_ACCESS_DENIED || document === null) return error;
  const { reason } = new HcsError({ function: name, hresult });
  if (error.reason === reason) return error;
  return new HcsError({ function: name, hresult, document, message: `${error.reason}: ${reason}` });
}

/** Throws unless a call without a result document succeeded. */
export function check(name: string, hresult: number): void {
  if (isFailure(hresult)) throw nativeFailure(name, hresult, null);
}

/**
 * Takes the document that a call stored, frees it, and throws it as part of the failure when the call failed.
 * @param document the out-parameter of the call
 */
export function take(
  system: WindowsSystem,
  name: string,
  hresult: number,
  document: OutCell,
): string | null {
  return resultOf(name, hresult, system.takeString(document[0]));
}

/** The document of a call, or its failure, which has the document as its part. */
export function resultOf(name: string, hresult: number, document: string | null): string | null {
  if (isFailure(hresult)) throw nativeFailure(name, hresult, document);
  return document;
}

/** The error for a handle that this process has closed, or never had. */
export function notOpen(name: string, kind: string, handle: unknown): HcsError {
  return new HcsError({
    function: name,
    hresult: HRESULT.ERROR_INVALID_HANDLE,
    message: `${kind} ${String(handle)} is not open: it was closed, or is of another host`,
  });
}

/** The error for an argument that cannot be. */
export function invalid(name: string, message: string): HcsError {
  return new HcsError({ function: name, hresult: HRESULT.E_INVALIDARG, message });
}

/** The callback, or null for none. @throws HcsError E_INVALIDARG when it is anything but a function */
export function checkCallback<T>(name: string, callback: T | null | undefined): T | null {
  if (callback === null || callback === undefined) return null;
  if (typeof callback === 'function') return callback;
  throw invalid(name, `the callback is ${typeof callback}, not a function`);
}
