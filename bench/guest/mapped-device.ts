import { mapped, mmio, PciDevice } from 'hdvkit';

/** One page of BAR 0 that the guest maps. */
export class MappedDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x11ea, classCode: 0xff0000 };
  override readonly bars = { 0: mmio(0x1000, { 0: mapped(1) }) };
}
