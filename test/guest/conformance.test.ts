import { describeHost } from '../host/conformance.ts';
import { openLinuxHost } from './linux-test-host.ts';

describeHost('linux', () => openLinuxHost());
