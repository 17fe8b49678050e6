import { checkFields, type FieldTable } from '../../../compute/document-fields.ts';
import { HcsError } from '../../../hcs/hcs-error.ts';
import { HRESULT, type HresultName } from '../../../hcs/hresult.ts';
import { QEMU_OTHERWISE } from '../document-fields.ts';

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

/**
 * Refuses what a request has that is not honoured, as it would be in a document.
 * @param type of the settings in the schema
 */
export function refuseFields(at: string, type: string, settings: object, table: FieldTable): void {
  checkFields(type, settings, table, at, QEMU_OTHERWISE);
}

/** A whole number in a range. @throws HcsError E_INVALIDARG naming the path */
export function wholeNumber(path: string, value: number, largest: number, smallest = 1): number {
  if (Number.isInteger(value) && value >= smallest && value <= largest) return value;
  throw resourceFailure(
    'E_INVALIDARG',
    `${path} is ${value}: use a whole number from ${smallest} to ${largest}`,
  );
}
