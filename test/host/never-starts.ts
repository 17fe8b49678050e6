import { mmio, PciDevice, ram } from 'hdvkit';

/** Fails as soon as its machine is there. */
export class NeverStarts extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x0bad, classCode: 0xff0000 };
  override readonly bars = { 0: mmio(0x1000, { 0: ram(Buffer.alloc(0x1000)) }) };

  override start(): void {
    throw new Error('it is not plugged in');
  }
}
