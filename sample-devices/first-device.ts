/** Teaches the least a device needs: an identity, one register, and a BAR to find it in. */
import { mmio, PciDevice, registerMap, u32 } from 'hdvkit';

export const FIRST = registerMap({ INVERTER: u32(0x00) });

/** Gives back what was written to it, every bit inverted. */
export class FirstDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x0d01, classCode: 0xff0000 };

  readonly regs = FIRST.bind({ INVERTER: { store: (value) => ~value } });
  override readonly bars = { 0: mmio(4096, { 0: this.regs }) };
}
