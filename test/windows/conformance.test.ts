import { describe } from 'vitest';
import { describeHost } from '../host/conformance.ts';
import { standInsUnavailable } from './stand-ins.ts';
import { openWindowsHost } from './windows-test-host.ts';

describe.runIf(standInsUnavailable === undefined)('over stand-ins', () => {
  describeHost('windows', () => openWindowsHost());
});
