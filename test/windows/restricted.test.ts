import { describe } from 'vitest';
import { describeHost } from '../host/conformance.ts';
import { describeEdu } from '../host/edu.ts';
import { standInsUnavailable } from './stand-ins.ts';
import { openWindowsHost } from './windows-test-host.ts';

describe.runIf(standInsUnavailable === undefined)('over stand-ins', () => {
  const openRestricted = () => openWindowsHost({ hostingModel: 'ExternalRestricted' });
  describeHost('windows, by a restricted device host', openRestricted);
  describeEdu('windows, by a restricted device host', openRestricted);
});
