import { mmio, msix, PciDevice, registerMap, u32 } from 'hdvkit';

const MAP = registerMap({ ID: u32(0, { access: 'ro', reset: 0xc4a5_41 }) });

/** Fails a moment after each start. */
export class CrashLoopDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1af5, deviceId: 0x7003, classCode: 0xff0000 };
  override readonly interrupts = msix(1);
  override readonly bars = { 0: mmio(0x1000, { 0: MAP.bind() }) };

  override start(): void {
    this.clock.after(1, () => {
      throw new Error('it never gets far');
    });
  }
}
