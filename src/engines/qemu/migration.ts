import type { QmpClient } from './qmp.ts';

interface MigrationStatus {
  readonly status?: string;
  readonly 'error-desc'?: string;
}

/** Milliseconds after which QEMU is asked though it has said nothing. */
const LONGEST_SILENCE_MS = 250;

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

/**
 * RAM has its place in the file (mapped-ram): pages of zeros take no room there, and are not touched when it is read, for which
 * QEMU needs a third of the time.
 */
async function setCapabilities(qmp: QmpClient, sharedRam: boolean): Promise<void> {
  const capabilities = { events: true, 'x-ignore-shared': sharedRam, 'mapped-ram': !sharedRam };
  await qmp.execute('migrate-set-capabilities', {
    capabilities: Object.entries(capabilities).map(([capability, state]) => ({
      capability,
      state,
    })),
  });
}

async function completion(qmp: QmpClient, signal?: AbortSignal): Promise<void> {
  let tell = (): void => {};
  const stop = qmp.listen(({ event }) => {
    if (event === 'MIGRATION') tell();
  });
  const abort = (): void => tell();
  signal?.addEventListener('abort', abort);
  try {
    for (let isGivenUp = false; ; ) {
      const silence = new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LONGEST_SILENCE_MS);
        tell = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      if (signal?.aborted === true && !isGivenUp) {
        isGivenUp = true;
        await qmp.execute('migrate_cancel');
      }
      const status = (await qmp.execute('query-migrate')) as MigrationStatus;
      if (status.status === 'completed') return;
      if (status.status === 'failed' || status.status === 'cancelled') {
        throw new Error(status['error-desc'] ?? `the state was not transferred: ${status.status}`);
      }
      await silence;
    }
  } finally {
    tell();
    stop();
    signal?.removeEventListener('abort', abort);
  }
}
