import { createLinuxHost } from '../../src/hosts/linux/host.ts';
import { describeEventSample } from '../host/event-sample.ts';

describeEventSample('linux', async () => createLinuxHost());
