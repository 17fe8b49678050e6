import type { MachinePlan } from './machine-plan.ts';
import type { QmpClient } from './qmp.ts';

/** What QEMU does when the guest resets its machine. One whose state is kept at a reset stops for it. */
export function resetAction({ stopOnReset, crashFiles }: MachinePlan): 'shutdown' | 'reset' {
  return stopOnReset || crashFiles.endState !== undefined ? 'shutdown' : 'reset';
}

/**
 * Resets a machine, whatever its guest's resets do. It stands or runs as before then.
 * @param gone settled when QEMU has ended
 */
export async function resetMachine(
  qmp: QmpClient,
  plan: MachinePlan,
  gone: Promise<void>,
): Promise<void> {
  await qmp.execute('set-action', { reboot: 'reset' });
  await new Promise<void>((resolve, reject) => {
    const stop = qmp.listen(({ event }) => {
      if (event !== 'RESET') return;
      stop();
      resolve();
    });
    qmp.execute('system_reset').catch(reject);
    gone.then(() => reject(new Error('QEMU has ended')), reject);
  });
  await qmp.execute('set-action', { reboot: resetAction(plan) });
}
