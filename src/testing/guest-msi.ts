import type { GuestConfigSpace } from './config-space.ts';

/** Message Control of MSI (PCIe 6.0, 7.7.1.2). */
export const MsiControl = { ENABLE: 0x1, IS_64_BIT: 0x80, PER_VECTOR_MASKING: 0x100 } as const;

/** Programs address and data of the MSI capability at `at`, whose Message Control is `control`. */
export function writeMsiMessage(
  config: GuestConfigSpace,
  at: number,
  control: number,
  address: number,
  data: number,
): void {
  const is64Bit = (control & MsiControl.IS_64_BIT) !== 0;
  config.write32(at + 4, address);
  if (is64Bit) config.write32(at + 8, 0);
  config.write16(at + (is64Bit ? 12 : 8), data);
}

/** Offset of the mask bits, which the pending bits follow. */
export function msiMaskOffset(at: number, control: number): number {
  return at + (control & MsiControl.IS_64_BIT ? 16 : 12);
}
