import { mmio, msi, PciDevice, ram } from 'hdvkit';

/** The device of the examples: it is told its port, or nothing. */
export class PortDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0xc0f9, classCode: 0xff0000 };
  override readonly interrupts = msi(1);
  override readonly bars = { 0: mmio(0x1000, { 0: ram(Buffer.alloc(0x1000)) }) };

  override configure(strings: readonly string[]): void {
    const [first = 'port=1', ...others] = strings;
    if (first === 'port=1' && others.length === 0) return;
    throw new RangeError(`Cannot use the configuration ${strings.join(' ')}: write port=1`);
  }
}
