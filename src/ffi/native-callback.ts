import { type CallbackHandler, koffiReceivedType, type LibraryAbi } from './abi.ts';
import { koffi } from './native-config.ts';

/** What native code gets when a handler threw. */
export const E_FAIL = 0x8000_4005;

/** Receives what a handler threw, on a later turn of the event loop. */
export type Uncaught = (error: unknown) => void;

/**
 * Makes a function of this thread that native threads call. It is never given back: a call that comes after that would
 * end the process. Nothing thrown reaches native code, which gets E_FAIL instead, or nothing.
 *
 * The native thread waits until this thread's event loop has served it. The function does not keep the loop alive.
 * @param name of a callback in the table
 * @param uncaught by default the error becomes an uncaught exception
 * @returns the address, for a parameter or field of this callback's type
 */
export function registerCallback<
  Abi extends LibraryAbi,
  const Name extends keyof Abi['callbacks'] & string,
>(
  abi: Abi,
  name: Name,
  handler: CallbackHandler<Abi['callbacks'][Name]>,
  uncaught: Uncaught = throwUncaught,
): number {
  const declared = abi.callbacks[name];
  if (declared === undefined) {
    throw new TypeError(`Cannot register ${name}: ${abi.file} does not declare this callback`);
  }
  const returnsResult = declared.result === 'HRESULT';
  const call = handler as unknown as (...parameters: unknown[]) => unknown;
  const guarded = (...parameters: unknown[]): number | undefined => {
    try {
      const result = call(...parameters.map(unsigned));
      if (!returnsResult) return undefined;
      if (typeof result === 'number') return result;
      throw new TypeError(`Cannot return ${typeof result} from ${name}: it answers an HRESULT`);
    } catch (error) {
      setImmediate(report, uncaught, error);
      return returnsResult ? E_FAIL : undefined;
    }
  };
  const parameters = declared.parameters.map(([type]) => koffiReceivedType(abi, type));
  const prototype = koffi.proto(returnsResult ? 'uint32_t' : 'void', parameters);
  return Number(koffi.register(guarded, koffi.pointer(prototype)));
}

/** koffi hands 64-bit integers from 2^63 over as negative ones, in callbacks only; no callback has a signed one. */
function unsigned(value: unknown): unknown {
  return typeof value === 'bigint' ? BigInt.asUintN(64, value) : value;
}

function report(uncaught: Uncaught, error: unknown): void {
  uncaught(error);
}

function throwUncaught(error: unknown): void {
  throw error;
}
