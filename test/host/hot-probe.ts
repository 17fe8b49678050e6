import { MsiProbe } from './conformance-devices.ts';

/** What is added to a running machine: the only device class of its module, so it needs no name. */
export class HotProbe extends MsiProbe {
  override readonly identity = { vendorId: 0x1234, deviceId: 0xc0f4, classCode: 0xff0000 };
}
