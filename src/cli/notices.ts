import type { DeviceNotice } from '../hdv/attachment.ts';
import type { PlacementNotice } from '../hdv/device-placement.ts';
import { ExitCode } from './failure.ts';
import { errorColors, remark } from './terminal.ts';

/** Shows what a device reports while it runs; it is not the command's output. A failed device fails the command. */
export function showNotice(notice: DeviceNotice | PlacementNotice): void {
  const c = errorColors();
  if (notice.type === 'restarted') {
    remark('the device was restarted');
    return;
  }
  if (notice.type === 'guestError') {
    remark(`${c.yellow('guest error:')} ${notice.text}`);
    return;
  }
  process.exitCode = ExitCode.FAILED;
  remark(`${c.red('device failed:')} ${notice.error.message}`);
  if (process.env.HDVKIT_DEBUG) remark(notice.error.stack ?? '');
}
