import { HcsError } from '../../../hcs/hcs-error.ts';
import { HRESULT, type HresultName } from '../../../hcs/hresult.ts';

/** A resource that cannot be had. The service names the function that asked for it. */
export function resourceFailure(code: HresultName, message: string, cause?: unknown): HcsError {
  return new HcsError({
    function: 'HcsModifyComputeSystem',
    hresult: HRESULT[code],
    message,
    cause,
  });
}

/** A field that this host cannot honour. */
export function cannotHonour(path: string, reason: string): HcsError {
  return resourceFailure('E_NOTIMPL', `Cannot honour ${path}: ${reason}`);
}

/** Refuses the fields of a document that nothing here honours; one that asks for nothing may be there. */
export function refuseFields(at: string, settings: object, honoured: readonly string[]): void {
  for (const [key, value] of Object.entries(settings)) {
    if (honoured.includes(key) || value === false || value === undefined) continue;
    throw cannotHonour(`${at}.${key}`, 'the linux host does not do this; leave it out');
  }
}

/** A whole number in a range. @throws HcsError E_INVALIDARG naming the path */
export function wholeNumber(path: string, value: number, largest: number, smallest = 1): number {
  if (Number.isInteger(value) && value >= smallest && value <= largest) return value;
  throw resourceFailure(
    'E_INVALIDARG',
    `${path} is ${value}: use a whole number from ${smallest} to ${largest}`,
  );
}
