import { describeEventSample } from '../host/event-sample.ts';
import { ComputeRig } from './compute-rig.ts';
import { standInsUnavailable } from './stand-ins.ts';

if (standInsUnavailable === undefined) {
  describeEventSample('windows', async () => {
    const rig = new ComputeRig();
    return { computeCore: rig.core, close: async () => rig.close() };
  });
} else {
  console.log(`Skipped: ${standInsUnavailable}`);
}
