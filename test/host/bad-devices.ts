import { PciDevice } from 'hdvkit';

/** No device class. */
export function notADevice(): void {}

/** A device that cannot be made. */
export class Throws extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 1, classCode: 0xff0000 };

  constructor() {
    super();
    throw new RangeError('no such luck');
  }
}
