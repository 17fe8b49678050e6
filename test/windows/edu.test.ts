import { describe } from 'vitest';
import { describeEdu } from '../host/edu.ts';
import { standInsUnavailable } from './stand-ins.ts';
import { openWindowsHost } from './windows-test-host.ts';

describe.runIf(standInsUnavailable === undefined)('over stand-ins', () => {
  describeEdu('windows', () => openWindowsHost());
});
