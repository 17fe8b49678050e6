import { intx, mmio, PciDevice, ram, registerMap, u32 } from 'hdvkit';

/** Id of {@link MemoryDevice}. */
export const MEMORY_DEVICE = 0xe001;

/** Memory that processors share. */
export class MemoryDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: MEMORY_DEVICE, classCode: 0xff0000 };
  override readonly bars = { 0: mmio(0x1000, { 0: ram(Buffer.alloc(0x1000)) }) };
}

/** Id of {@link LevelDevice}. */
export const LEVEL_DEVICE = 0xe002;

/** Its interrupt line follows a register. */
export class LevelDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: LEVEL_DEVICE, classCode: 0xff0000 };
  override readonly interrupts = intx();
  readonly regs = registerMap({ LEVEL: u32(0x00) }).bind({
    LEVEL: {
      write: (level) => {
        if (level) this.interrupts.assert();
        else this.interrupts.deassert();
      },
    },
  });
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };
}
