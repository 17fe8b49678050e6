/** Run with few descriptors left: tries to place a device on a worker in each way, and says what came of it. */
import { VfioUserWorkerDevice } from '../../src/device-host/vfio-user-worker-device.ts';
import { DeviceThread } from '../../src/hosts/simulated/device-thread.ts';

const module = new URL('../host/trouble-device.ts', import.meta.url);
const ways: Record<string, () => Promise<unknown>> = {
  simulated: () =>
    DeviceThread.start(
      { module: module.href, exportName: undefined, trace: undefined },
      false,
      () => undefined,
      {},
    ),
  linux: () =>
    VfioUserWorkerDevice.load({
      source: { module, exportName: undefined },
      socketPath: () => 'unused',
      notify: () => undefined,
    }),
};
const outcomes: Record<string, string> = {};
for (const [name, place] of Object.entries(ways)) {
  outcomes[name] = await place().then(
    () => 'placed',
    (error: Error) => error.message,
  );
}
process.stdout.write(JSON.stringify(outcomes));
