import { join } from 'node:path';
import { buildProbeForWindows } from '../../ffi/abi-probe.ts';
import { buildNativeThreadsForWindows } from '../../ffi/gate/native-threads.ts';
import { buildEchoForWindows } from '../abi-echo.ts';

/** Compiles for Windows what tests load besides the stand-ins: there is no compiler where they run. */
export function buildNativePrograms(tests: string): void {
  buildProbeForWindows(tests);
  buildNativeThreadsForWindows(join(tests, 'ffi/gate'));
  buildEchoForWindows(tests);
}
