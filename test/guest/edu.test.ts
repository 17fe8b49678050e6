import { describeEdu } from '../host/edu.ts';
import { openLinuxHost } from './linux-test-host.ts';

describeEdu('linux', () => openLinuxHost());
