/**
 * The machine's guest-physical address map. RAM above the hole continues at 4 GiB, as on x86 hardware.
 *
 * | from | to | what |
 * |---|---|---|
 * | 0 | up to 3 GiB | RAM, the first part |
 * | 0xC000_0000 | 256 MiB | ECAM: config space, 4 KiB per function |
 * | 0xD000_0000 | 0xFEC0_0000 | window for 32-bit BARs |
 * | 0xFEE0_0000 | 1 MiB | message-signalled interrupts |
 * | 4 GiB | | RAM, the rest |
 * | 1 TiB | 1 TiB | window for 64-bit BARs |
 */
export const AddressMap = {
  /** RAM above this is relocated to {@link AddressMap.HIGH_RAM}. */
  LOW_RAM_END: 0xc000_0000,
  HIGH_RAM: 0x1_0000_0000,
  ECAM: 0xc000_0000,
  ECAM_SIZE: 0x1000_0000,
  MMIO_32: 0xd000_0000,
  MMIO_32_SIZE: 0x2ec0_0000,
  MSI: 0xfee0_0000,
  MSI_SIZE: 0x10_0000,
  MMIO_64: 0x100_0000_0000,
  MMIO_64_SIZE: 0x100_0000_0000,
} as const;
