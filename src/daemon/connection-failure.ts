import { failure } from '../compute/failure.ts';
import type { HcsError } from '../hcs/hcs-error.ts';

/**
 * The failure to reach a service. Its message ends with what to do about it, which is its property `remedy` as well: command
 * lines have general remedies for codes, and this one fits the case.
 */
export function connectionFailure(
  code: 'HCS_E_SERVICE_NOT_AVAILABLE' | 'HCS_E_ACCESS_DENIED',
  what: string,
  remedy: string,
  cause?: unknown,
  name = 'hello',
): HcsError {
  return withRemedy(failure(name, code, `${what}; ${remedy}`, undefined, cause), remedy);
}

/** Gives an error the remedy of another one, if that has any. */
export function withRemedyOf(error: HcsError, other: object): HcsError {
  const { remedy } = other as { readonly remedy?: unknown };
  return typeof remedy === 'string' ? withRemedy(error, remedy) : error;
}

function withRemedy(error: HcsError, remedy: string): HcsError {
  return Object.defineProperty(error, 'remedy', { value: remedy });
}
