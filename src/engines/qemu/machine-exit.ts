import type { EngineExit } from '../../compute/engine.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import { describeExit, type ProcessExit } from './process-end.ts';

/** Why the machine ended, as far as QEMU said before its process did. */
export type Cause = 'guest' | 'host' | 'panic' | { readonly failure: string } | undefined;

/**
 * How a machine ended whose QEMU ended so.
 * @param problem what went wrong when it had ended
 */
export function exitOf(
  cause: Cause,
  exit: ProcessExit,
  problem: Pick<EngineExit, 'detail'>,
): EngineExit {
  // QEMU that crashed takes the programs beside it with it, not they QEMU. Nobody sees how one ends that was taken over.
  const isOrderly = exit.code === 0 || (exit.code === null && exit.signal === null);
  if (typeof cause === 'object' && isOrderly) {
    return {
      exitType: 'UnexpectedExit',
      status: HRESULT.HCS_E_UNEXPECTED_EXIT,
      detail: cause.failure,
    };
  }
  switch (cause) {
    case 'guest':
      return { exitType: 'GracefulExit', status: HRESULT.S_OK, ...problem };
    case 'host':
      return { exitType: 'ForcedExit', status: HRESULT.S_OK, ...problem };
    case 'panic':
      return {
        exitType: 'UnexpectedExit',
        status: HRESULT.HCS_E_GUEST_CRITICAL_ERROR,
        detail: 'the guest panicked',
      };
    default:
      return {
        exitType: 'UnexpectedExit',
        status: HRESULT.HCS_E_UNEXPECTED_EXIT,
        detail: `QEMU ended: ${describeExit(exit)}`,
      };
  }
}
