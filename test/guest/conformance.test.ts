import { NO_MESSAGE_TIMEOUT } from '../../src/engines/qemu/engine.ts';
import { describeHost } from '../host/conformance.ts';
import { describeRestart } from '../host/conformance-restart.ts';
import { openLinuxHost } from './linux-test-host.ts';

describeHost('linux', () => openLinuxHost());

// QEMU waits for ever here: that a read returns is the supervisor's doing, and nobody else's.
const engine = { messageTimeout: NO_MESSAGE_TIMEOUT };
describeRestart('linux', () => openLinuxHost({}, { stallLimitMs: 2000, heapLimit: 48, engine }));
