import { doorbells, mapped, mmio, PciDevice, pciExpress, registerMap, u32 } from 'hdvkit';

/** How the device ends: by an exception, or with its thread. */
export const End = { THROW: 1, EXIT: 2 } as const;

/** Offsets in BAR 0. */
export const DOORBELLS = 0x1000;
export const PAGES = 0x2000;

/** Offsets in the pages: what the guest puts there, and what the device makes of it. */
export const Page = { INPUT: 0x00, OUTPUT: 0x10, RINGS: 0x20 } as const;

export const DIRECT = registerMap({
  /** How often the device was started. */
  STARTS: u32(0x0, { access: 'ro' }),
  END: u32(0x4),
});

/** Doubles a number in its pages when the doorbell of the number rings. */
export class DirectDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1af5, deviceId: 0x7002, classCode: 0xff0000 };
  override readonly capabilities = [pciExpress({ functionLevelReset: true })];
  readonly regs = DIRECT.bind({ END: { write: (how) => this.#end(how) } });
  readonly pages = mapped(1);
  override readonly bars = {
    0: mmio(0x4000, {
      0: this.regs,
      [DOORBELLS]: doorbells({
        count: 2,
        valueless: true,
        ring: (index) => this.#serve(index),
      }),
      [PAGES]: this.pages,
    }),
  };

  /** Kept as long as the device may: a mapping that somebody has to undo when it is gone. */
  ring: ReturnType<typeof this.memory.aperture> | undefined;

  override start(): void {
    this.regs.STARTS++;
    this.ring = this.memory.aperture(0x4000, 4096);
  }

  #serve(index: number): void {
    const { bytes } = this.pages;
    bytes.writeUInt32LE(2 * bytes.readUInt32LE(Page.INPUT + 4 * index), Page.OUTPUT + 4 * index);
    bytes.writeUInt32LE(bytes.readUInt32LE(Page.RINGS + 4 * index) + 1, Page.RINGS + 4 * index);
  }

  #end(how: number): void {
    if (how === End.THROW) throw new Error('The guest wanted it so');
    if (how === End.EXIT) process.exit(3);
  }
}
