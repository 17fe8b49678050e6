import { isMainThread } from 'node:worker_threads';
import { registerCallback } from '../../ffi/native-callback.ts';
import { readStructAt } from '../../ffi/native-struct.ts';
import { structLayout } from '../../ffi/struct-layout.ts';
import { readWideString } from '../../ffi/wide-string.ts';
import type { HCS_EVENT, HCS_OPERATION } from '../core/handles.ts';
import { HcsError } from '../hcs-error.ts';
import { HRESULT } from '../hresult.ts';
import { COMPUTE_CORE_ABI } from './compute-core-abi.ts';

const EVENT = structLayout(COMPUTE_CORE_ABI, 'HCS_EVENT');

/**
 * Functions of this process that the compute service calls, one of each kind, made at first use and never given back: a
 * call that comes late finds a function, and no receiver. Native code carries the receiver's number as its context.
 */
const completions = new Map<number, () => void>();
const events = new Map<number, (event: HCS_EVENT) => void>();

let completionAddress: number | undefined;
let eventAddress: number | undefined;
let lastNumber = 0;

/** A number for a context that no receiver of this process had before; never 0, which is NULL. */
export function nextContext(): number {
  lastNumber += 1;
  return lastNumber;
}

/**
 * The address of HCS_OPERATION_COMPLETION, and who is called for this context.
 * @throws HcsError ERROR_NOT_SUPPORTED on a worker thread
 */
export function receiveCompletions(name: string, context: number, receive: () => void): number {
  checkThread(name);
  completionAddress ??= registerCallback(
    COMPUTE_CORE_ABI,
    'HCS_OPERATION_COMPLETION',
    (_operation, number) => completions.get(Number(number))?.(),
  );
  completions.set(context, receive);
  return completionAddress;
}

/**
 * The address of HCS_EVENT_CALLBACK, and who is called for this context.
 * @throws HcsError ERROR_NOT_SUPPORTED on a worker thread
 */
export function receiveEvents(
  name: string,
  context: number,
  receive: (event: HCS_EVENT) => void,
): number {
  checkThread(name);
  eventAddress ??= registerCallback(COMPUTE_CORE_ABI, 'HCS_EVENT_CALLBACK', (event, number) => {
    const receiver = events.get(Number(number));
    if (receiver !== undefined) receiver(readEvent(Number(event)));
  });
  events.set(context, receive);
  return eventAddress;
}

/** Nobody is called for this context any more. */
export function forgetContext(context: number): void {
  completions.delete(context);
  events.delete(context);
}

/** An HCS_EVENT and its document, which are the service's and are gone after the call. */
function readEvent(address: number): HCS_EVENT {
  const { Type, EventData, Operation } = readStructAt(EVENT, address);
  return {
    Type: Number(Type) >>> 0,
    EventData: readWideString(EventData ?? 0),
    Operation: BigInt(Operation ?? 0) as HCS_OPERATION,
  };
}

/** A worker that ends while the service may call takes the process with it. */
function checkThread(name: string): void {
  if (isMainThread) return;
  throw new HcsError({
    function: name,
    hresult: HRESULT.ERROR_NOT_SUPPORTED,
    message:
      'callbacks of the compute service can be set on the main thread only: wait for the operation instead, or make the call there',
  });
}
