/**
 * Numbers of the 16550A UART (National Semiconductor PC16550D data sheet, section 8), and of the board that carries it.
 */
import { bit, bits, registerMap, u8 } from 'hdvkit';

/** The UART's registers. What is at 0 and 1 depends on LCR bit 7, the divisor latch access bit (8.0, table II). */
export const UART = registerMap({
  /** Receiver buffer, transmitter holding, divisor latch low. */
  RBR_THR_DLL: u8(0),
  /** Interrupt enable, divisor latch high. */
  IER_DLM: u8(1),
  /** Interrupt identification when read, FIFO control when written. */
  IIR_FCR: u8(2),
  LCR: u8(3, {
    fields: { WORD_LENGTH: bits(0, 2), STOP: bit(2), PARITY: bit(3), DIVISOR_LATCH: bit(7) },
  }),
  MCR: u8(4, {
    fields: { DTR: bit(0), RTS: bit(1), OUT1: bit(2), OUT2: bit(3), LOOPBACK: bit(4) },
  }),
  LSR: u8(5, {
    fields: { DATA_READY: bit(0), OVERRUN: bit(1), HOLDING_EMPTY: bit(5), EMPTY: bit(6) },
  }),
  MSR: u8(6, {
    fields: {
      DELTA_CTS: bit(0),
      DELTA_DSR: bit(1),
      TRAILING_RI: bit(2),
      DELTA_DCD: bit(3),
      CTS: bit(4),
      DSR: bit(5),
      RI: bit(6),
      DCD: bit(7),
    },
  }),
  SCR: u8(7),
});

/** Interrupt enable (8.7). */
export const Ier = { RECEIVED: 0x1, TRANSMITTER_EMPTY: 0x2, LINE: 0x4, MODEM: 0x8 } as const;

/** Interrupt identification (8.6, table IV), highest priority first. */
export const Iir = {
  LINE: 0x6,
  RECEIVED: 0x4,
  CHARACTER_TIMEOUT: 0xc,
  TRANSMITTER_EMPTY: 0x2,
  MODEM: 0x0,
  NONE: 0x1,
  FIFOS: 0xc0,
} as const;

/** FIFO control (8.5). */
export const Fcr = { ENABLE: 0x1, CLEAR_RECEIVER: 0x2, TRIGGER_SHIFT: 6 } as const;

/** Bytes in the receiver FIFO that raise an interrupt, by FCR bits 7 and 6 (8.5). */
export const TRIGGER_LEVELS = [1, 4, 8, 14] as const;

/** Line control (8.1). */
export const Lcr = { WORD_LENGTH: 0x3, STOP: 0x4, PARITY: 0x8, DIVISOR_LATCH: 0x80 } as const;

/** Modem control (8.8). */
export const Mcr = { DTR: 0x1, RTS: 0x2, OUT1: 0x4, OUT2: 0x8, LOOPBACK: 0x10 } as const;

/** Line status (8.4). */
export const Lsr = { DATA_READY: 0x1, OVERRUN: 0x2, HOLDING_EMPTY: 0x20, EMPTY: 0x40 } as const;

/** Modem status (8.9): the upper four bits are levels, the lower four say what changed. */
export const Msr = {
  DELTA_CTS: 0x01,
  DELTA_DSR: 0x02,
  TRAILING_RI: 0x04,
  DELTA_DCD: 0x08,
  CTS: 0x10,
  DSR: 0x20,
  RI: 0x40,
  DCD: 0x80,
} as const;

/** Bytes a receiver FIFO holds (8.5). */
export const FIFO_LENGTH = 16;

/**
 * The board: an ADDI-DATA APCIe-7300, one port in BAR 0, which is memory. The stock driver 8250_pci has it in its table
 * with a base rate of 3,906,250 baud, the UART at 0x1000, registers one byte apart.
 */
export const Board = {
  VENDOR: 0x15b8,
  DEVICE: 0x7010,
  /** Simple communication controller, serial, 16550-compatible. */
  CLASS_CODE: 0x070002,
  BAR_SIZE: 0x4000,
  UART: 0x1000,
  /** Bits per second at a divisor of 1. */
  BASE_RATE: 3_906_250,
} as const;
