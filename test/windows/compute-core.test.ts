import { expect } from 'vitest';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { describeComputeCore } from '../hcs/compute-core-conformance.ts';
import { ComputeRig } from './compute-rig.ts';
import { standInsUnavailable } from './stand-ins.ts';

if (standInsUnavailable === undefined) {
  describeComputeCore('computecore.dll', () => {
    const rig = new ComputeRig();
    const { core, standIns } = rig;
    const liveBefore = standIns.liveBlocks();
    return {
      core,
      hold(step, id) {
        standIns.hold(step, { id });
        return () => standIns.release(step, { id });
      },
      failCreation(id, reason) {
        const document = JSON.stringify({ Error: HRESULT.E_FAIL | 0, ErrorMessage: reason });
        standIns.failNext('HcsCreateComputeSystem', HRESULT.E_FAIL, { id, document });
      },
      crash(id) {
        const report = JSON.stringify({ SystemId: id, CrashLog: 'panic' });
        standIns.raiseEvent(id, 2, report);
        standIns.raiseEvent(id, 3, report);
        standIns.endSystem(id, 'UnexpectedExit', HRESULT.HCS_E_GUEST_CRITICAL_ERROR);
      },
      check(id) {
        // Windows refuses a second call of an operation in flight, and so the library is asked.
        const misuses = standIns.misuses({ id }).filter((line) => !/is in flight for/.test(line));
        expect(misuses).toEqual([]);
        expect(standIns.openHandles('system', id)).toBe(0);
        expect(standIns.openHandles('operation', id)).toBe(0);
        expect(standIns.liveBlocks()).toBe(liveBefore);
      },
      async close() {
        rig.close();
      },
    };
  });
} else {
  console.log(`Skipped: ${standInsUnavailable}`);
}
