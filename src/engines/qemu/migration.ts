import type { QmpClient } from './qmp.ts';

interface MigrationStatus {
  readonly status?: string;
  readonly 'error-desc'?: string;
}

/** Milliseconds between questions; a save takes tens to thousands. */
const INTERVAL_MS = 10;

/**
 * Writes the state of a stopped machine.
 * @param sharedRam leave out RAM that is in a file of its own
 * @param signal aborted to have QEMU give up
 * @throws Error with QEMU's own words; the machine is stopped as before then
 */
export async function saveTo(
  qmp: QmpClient,
  uri: string,
  sharedRam = false,
  signal?: AbortSignal,
): Promise<void> {
  signal?.throwIfAborted();
  await setCapabilities(qmp, sharedRam);
  await qmp.execute('migrate', { uri });
  await completion(qmp, signal);
}

/** Reads the state that {@link saveTo} wrote into a machine of the same make that waits for it. */
export async function restoreFrom(qmp: QmpClient, uri: string, sharedRam = false): Promise<void> {
  await setCapabilities(qmp, sharedRam);
  await qmp.execute('migrate-incoming', { uri, 'exit-on-error': false });
  await completion(qmp);
}

async function setCapabilities(qmp: QmpClient, sharedRam: boolean): Promise<void> {
  await qmp.execute('migrate-set-capabilities', {
    capabilities: [{ capability: 'x-ignore-shared', state: sharedRam }],
  });
}

async function completion(qmp: QmpClient, signal?: AbortSignal): Promise<void> {
  let isGivenUp = false;
  for (;;) {
    if (signal?.aborted === true && !isGivenUp) {
      isGivenUp = true;
      await qmp.execute('migrate_cancel');
    }
    const status = (await qmp.execute('query-migrate')) as MigrationStatus;
    if (status.status === 'completed') return;
    if (status.status === 'failed' || status.status === 'cancelled') {
      throw new Error(status['error-desc'] ?? `the state was not transferred: ${status.status}`);
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}
