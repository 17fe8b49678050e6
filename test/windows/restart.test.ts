import { describe } from 'vitest';
import { describeRestart } from '../host/conformance-restart.ts';
import { standInsUnavailable } from './stand-ins.ts';
import { openWindowsHost } from './windows-test-host.ts';

describe.runIf(standInsUnavailable === undefined)('over stand-ins', () => {
  describeRestart('windows', () => openWindowsHost({ heapLimit: 32 }));
});
