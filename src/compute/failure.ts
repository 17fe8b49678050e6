import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT, type HresultName, signedHresult } from '../hcs/hresult.ts';
import type { AttributionRecord, ResultError } from '../hcs/schema/documents.ts';

/** FLEXIO_DEVICE_ID: what failures of FlexibleIov devices carry as DeviceId. */
const FLEXIO_DEVICE_ID = 'a8679153-843f-467f-ad7e-f429328f7568';

/** An HcsError with a ResultError document. */
export function failure(
  name: string,
  code: HresultName,
  message: string,
  attribution?: readonly AttributionRecord[],
  cause?: unknown,
): HcsError {
  const hresult = HRESULT[code];
  return new HcsError({
    function: name,
    hresult,
    document: resultError(hresult, message, attribution),
    cause,
  });
}

/** Characters of a message: what callers pass may be of any length, and is quoted in some. */
const LONGEST_MESSAGE = 2000;

function shortened(message: string): string {
  const half = LONGEST_MESSAGE / 2;
  return `${message.slice(0, half)} ... ${message.slice(-half)}`;
}

/** A ResultError document as text. */
export function resultError(
  hresult: number,
  message: string,
  attribution?: readonly AttributionRecord[],
): string {
  const result: ResultError = {
    Error: signedHresult(hresult),
    ErrorMessage: message.length <= LONGEST_MESSAGE ? message : shortened(message),
    ...(attribution === undefined ? {} : { Attribution: attribution }),
  };
  return JSON.stringify(result);
}

/** The error that a call of an engine or a device host ended with, as the failure of the function `name`. */
export function failureFrom(name: string, error: unknown): HcsError {
  if (error instanceof HcsError) {
    if (error.function === name && error.document !== undefined) return error;
    return new HcsError({
      function: name,
      hresult: error.hresult,
      document: error.document ?? resultError(error.hresult, error.reason),
      cause: error,
    });
  }
  const message = error instanceof Error ? error.message : String(error);
  return failure(name, 'E_FAIL', message, undefined, error);
}

/** The failure of one FlexibleIov device at start or add, attributed as HCS does: VirtualDeviceFailure. */
export function deviceFailure(
  name: string,
  instanceId: string,
  message: string,
  hresult: number = HRESULT.E_UNEXPECTED,
  cause?: unknown,
): HcsError {
  const attribution: AttributionRecord[] = [
    {
      VirtualDeviceFailure: {
        Detail: 'FinishReservingResources',
        Name: 'FlexIo',
        DeviceId: FLEXIO_DEVICE_ID,
        InstanceId: instanceId,
      },
    },
  ];
  return new HcsError({
    function: name,
    hresult,
    document: resultError(hresult, message, attribution),
    cause,
  });
}
