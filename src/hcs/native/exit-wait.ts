import type { OutCell } from '../../ffi/abi.ts';
import type { WindowsSystem } from '../../ffi/windows-system.ts';
import { HRESULT } from '../hresult.ts';
import { blockingCalls } from './blocking-calls.ts';
import type { EventHandle } from './event-handle.ts';
import { isTimeout, nativeFailure, notOpen, resultOf } from './native-result.ts';
import { waitInSlices } from './open-handle.ts';

/**
 * Waits for the exit of a system or process.
 * @param call waits at most so many milliseconds, on a thread of the pool
 * @returns the document that says how it ended
 * @throws HcsError HCS_E_OPERATION_TIMEOUT; ERROR_INVALID_HANDLE when the handle is closed meanwhile
 */
export async function waitForExit(
  system: WindowsSystem,
  name: string,
  handle: EventHandle,
  timeoutMs: number,
  call: (milliseconds: number, document: OutCell) => Promise<number>,
): Promise<string | null> {
  const outcome = await waitInSlices(handle, timeoutMs, async (remaining) => {
    const cell: OutCell = [0];
    const hresult = await handle.use(() =>
      blockingCalls.run(async () => {
        if (!handle.isOpen) return HRESULT.HCS_E_OPERATION_TIMEOUT;
        return await call(Math.min(remaining, blockingCalls.slice), cell);
      }),
    );
    // Taken at once: the handle may be closed by now, and then nobody asks for it.
    const document = system.takeString(cell[0]);
    return isTimeout(hresult) ? undefined : { hresult, document };
  });
  if (outcome === 'closed') throw notOpen(name, 'handle', handle.native);
  if (outcome === 'elapsed') throw nativeFailure(name, HRESULT.HCS_E_OPERATION_TIMEOUT, null);
  const { hresult, document } = outcome.value;
  const text = resultOf(name, hresult, document);
  handle.ended();
  return text;
}
