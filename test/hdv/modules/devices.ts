import { mmio, PciDevice, ram } from 'hdvkit';

abstract class Plain extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x10, classCode: 0xff0000 };
  override readonly bars = { 0: mmio(0x1000, { 0: ram(0x1000) }) };
}

/** One of two devices. */
export class First extends Plain {}

/** The other. */
export class Second extends Plain {}

/** Cannot be made. */
export class Broken extends Plain {
  constructor() {
    super();
    throw new RangeError('register SIZE overlaps register MODE');
  }
}

export const number = 5;
