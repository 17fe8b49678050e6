import { VfioUserWorkerDevice } from '../device-host/vfio-user-worker-device.ts';
import type { DeviceFile } from './device-file.ts';
import { UsageError } from './usage-error.ts';

/**
 * Loads the present contents of a device file on a worker and builds its device, without serving it: this thread has
 * the contents that it has imported before.
 * @throws DeviceLoadError when it does not load, and UsageError when the host could not remove the new device
 */
export async function checkOnWorker({ module, exportName, path }: DeviceFile): Promise<void> {
  const device = await VfioUserWorkerDevice.load({
    source: { module, exportName },
    socketPath: () => '',
    notify: () => undefined,
  });
  const { kind } = device.shape.interrupts;
  await device.close();
  if (kind === 'msix') {
    throw new UsageError(
      `Cannot put the device of ${path} in place: it has MSI-X now, and could not be removed again`,
      'use msi() in the device',
    );
  }
}
