import { ResponseError } from 'vscode-jsonrpc/node';
import { failureFrom } from '../compute/failure.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT, signedHresult } from '../hcs/hresult.ts';
import type { WireFailure } from './protocol.ts';

/** How a failure travels. @param name function that failed, where the error does not say */
export function encodeFailure(name: string, error: unknown): WireFailure {
  const {
    function: thrower,
    hresult,
    reason,
    document,
  } = error instanceof HcsError ? error : failureFrom(name, error);
  return { function: thrower, hresult, reason, ...(document === undefined ? {} : { document }) };
}

/** The answer to a request that failed. */
export function failureResponse(name: string, error: unknown): ResponseError<WireFailure> {
  const failure = encodeFailure(name, error);
  return new ResponseError(signedHresult(failure.hresult), failure.reason, failure);
}

/** The failure that came from the other end. @param name function that was called */
export function decodeFailure(name: string, value: unknown): HcsError {
  const {
    function: thrower,
    hresult,
    reason,
    document,
  } = (value ?? {}) as Partial<Record<keyof WireFailure, unknown>>;
  return new HcsError({
    function: typeof thrower === 'string' ? thrower : name,
    hresult: typeof hresult === 'number' ? hresult : HRESULT.E_FAIL,
    message: typeof reason === 'string' && typeof document !== 'string' ? reason : undefined,
    document: typeof document === 'string' ? document : undefined,
  });
}
