import type { QmpClient, QmpError, QmpEvent } from './qmp.ts';
import { resourceFailure as failure } from './resources/resource-failure.ts';

/** A guest that is busy booting does not hear the request: it is repeated. */
const REPEAT_MS = 2_000;
/** What QEMU says of devices that it unplugs from no machine. */
const NEVER = /not supported|cannot be unplugged|does not support hot/i;
/** How long a guest has by default. */
const LIMIT_MS = 20_000;

/** What is unplugged, and for how long the guest is waited for. */
export interface UnplugRequest {
  /** The device's id in QEMU. */
  readonly id: string;
  /** What the user calls it: `'device 0f6c…'`. */
  readonly what: string;
  /** Milliseconds; 20,000. */
  readonly limit?: number | undefined;
}

/**
 * Asks the guest to let go of a device, and resolves when it has.
 * @throws HcsError ERROR_TIMEOUT when it does not in time, though it may still do later; ERROR_NOT_SUPPORTED for a device
 * that QEMU does not unplug
 */
export function unplugDevice(
  qmp: QmpClient,
  { id, what, limit = LIMIT_MS }: UnplugRequest,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const ask = (): void => {
      qmp.execute('device_del', { id }).catch((error: QmpError) => {
        // Refused for the moment while an earlier request is under way, or the guest busy with the slot.
        if (error.kind === 'DeviceNotFound') finish();
        else if (NEVER.test(error.message)) {
          finish(failure('ERROR_NOT_SUPPORTED', `${what} cannot be removed: ${error.message}`));
        }
      });
    };
    const finish = (error?: unknown): void => {
      stop();
      clearInterval(repeat);
      clearTimeout(timer);
      if (error === undefined) resolve();
      else reject(error);
    };
    const stop = qmp.listen(({ event, data }: QmpEvent) => {
      if (event === 'DEVICE_DELETED' && data.device === id) finish();
    });
    const repeat = setInterval(ask, REPEAT_MS);
    const timer = setTimeout(
      () =>
        finish(failure('ERROR_TIMEOUT', `the guest did not let go of ${what} within ${limit} ms`)),
      limit,
    );
    void qmp.closed.then(() => finish(new Error('QEMU has ended')));
    ask();
  });
}
