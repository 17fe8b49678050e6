import { createWindowsHost } from '../../src/hosts/windows/host.ts';
import { describeEventSample } from '../host/event-sample.ts';
import { openStandIns, standInsUnavailable } from './stand-ins.ts';

if (standInsUnavailable === undefined) {
  describeEventSample('windows', async () => {
    const standIns = openStandIns();
    return createWindowsHost({ libraries: standIns.libraries });
  });
} else {
  console.log(`Skipped: ${standInsUnavailable}`);
}
