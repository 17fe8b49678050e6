import type { PciDevice } from '../../src/device/pci-device.ts';
import { PciFunction } from '../../src/pci/pci-function.ts';
import { RecordingHost } from './recording-host.ts';

/** What every device in these tests is called. */
export const identity = { vendorId: 0x1234, deviceId: 0x5678, classCode: 0xff0000 } as const;

/** Command register with memory decoding and bus mastering on. */
export const ON = 0x6;

/** A device on a host, started, with memory decoding and bus mastering on. */
export function attach<D extends PciDevice>(
  device: D,
  { host = new RecordingHost(), command = ON }: { host?: RecordingHost; command?: number } = {},
): { device: D; fn: PciFunction; host: RecordingHost } {
  const fn = new PciFunction(device);
  fn.connect(host);
  fn.initialize();
  fn.setConfiguration([]);
  fn.start();
  fn.writeConfigSpace(0x04, command);
  return { device, fn, host };
}
