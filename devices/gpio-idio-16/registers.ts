/** Numbers of the ACCES I/O PCI-IDIO-16: 16 isolated inputs and 16 FET outputs, registers in BAR 2. */
import { bit, registerMap, u8 } from 'hdvkit';

/** ACCES I/O Products; PCI-IDIO-16. */
export const Board = {
  VENDOR: 0x494f,
  DEVICE: 0x0dc8,
  /** Data acquisition and signal processing controller, other. */
  CLASS_CODE: 0x118000,
  BAR: 2,
  BAR_SIZE: 256,
} as const;

/** Reading and writing one address often mean different things on this board. */
export const IDIO_16 = registerMap({
  OUT0_7: u8(0x0),
  /** Read: inputs 0 to 7. Write: clears the interrupt. */
  IN0_7: u8(0x1),
  /** Read: enables the interrupt. Write: disables it. */
  IRQ_CTL: u8(0x2),
  /** Read: turns the input filters on. Write: turns them off. */
  FILTER_CTL: u8(0x3),
  OUT8_15: u8(0x4),
  /** Read: inputs 8 to 15. */
  IN8_15: u8(0x5, { access: 'ro' }),
  IRQ_STATUS: u8(0x6, {
    access: 'ro',
    fields: { IN0_7: bit(0), IN8_15: bit(1), PENDING: bit(2) },
  }),
});

/** Bits of IRQ_STATUS: which half changed, and whether the interrupt is asserted. */
export const IrqStatus = { IN0_7: 0x1, IN8_15: 0x2, PENDING: 0x4 } as const;

/** Milliseconds that a filtered input must be stable before the change is seen. */
export const FILTER_MS = 5;
