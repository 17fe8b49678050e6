import { PciDevice } from '../../../src/index.ts';

export const mood = { isBad: false };

export class MoodyDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x21, classCode: 0xff0000 };

  constructor() {
    super();
    if (mood.isBad) throw new Error('not today');
  }
}
