import type { ComputeCore } from '../../src/hcs/compute-core.ts';
import { INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION } from '../../src/hcs/core/handles.ts';

/** Starts a call with an operation of its own, and waits for the end. @throws HcsError how it ended */
export async function runOperation(
  core: ComputeCore,
  start: (operation: HCS_OPERATION) => void,
): Promise<void> {
  const operation = core.HcsCreateOperation(null, null);
  try {
    start(operation);
    await core.HcsWaitForOperationResult(operation, INFINITE);
  } finally {
    core.HcsCloseOperation(operation);
  }
}
