import { PciDevice } from 'hdvkit';

export const notADevice = 1;

/** The only device of its module. */
export class Only extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x11, classCode: 0xff0000 };
}
