import {
  doorbells,
  gpa,
  intx,
  mapped,
  mmio,
  mmio64,
  msi,
  msix,
  PciDevice,
  pciExpress,
  powerManagement,
  ram,
  registerMap,
  serialNumber,
  u8,
  u16,
  u32,
  u64,
  vendorSpecific,
} from 'hdvkit';

/** Commands of {@link PROBE}. */
export const Command = { COPY: 1, COPY_BY_APERTURE: 2, RAISE: 3, RAISE_LATER: 4 } as const;

/** Registers of BAR 0 of the devices here: one of each width, and a copy engine. */
export const PROBE = registerMap({
  ID: u32(0x00, { access: 'ro', reset: 0x0c0f_fee0 }),
  BYTE: u8(0x04),
  HALF: u16(0x06),
  WORD: u32(0x08, { reset: 0x1122_3344 }),
  WIDE: u64(0x10),
  SOURCE: gpa(0x20),
  TARGET: gpa(0x28),
  COUNT: u32(0x30),
  VECTOR: u32(0x34),
  COMMAND: u32(0x38, { access: 'wo' }),
  RESULT: u32(0x3c, { access: 'ro' }),
});

/** Longest copy in bytes. */
export const LONGEST_COPY = 4096;

/** What both devices do: everything that a host has to carry, on command. */
abstract class Probe extends PciDevice {
  readonly regs = PROBE.bind({ COMMAND: { write: (command) => this.#run(command) } });
  override readonly bars = {
    0: mmio(0x1000, { 0: this.regs }),
    2: mmio64(0x4000, { 0: ram(Buffer.alloc(0x4000)) }, { prefetchable: true }),
  };

  #run(command: number): void {
    if (command === Command.COPY) this.regs.RESULT = this.#copy() ? 1 : 0;
    if (command === Command.COPY_BY_APERTURE) this.regs.RESULT = this.#map() ? 1 : 0;
    if (command === Command.RAISE) this.raise(this.regs.VECTOR);
    if (command === Command.RAISE_LATER) {
      this.clock.after(20, () => this.raise(this.regs.VECTOR));
    }
  }

  protected abstract raise(vector: number): void;

  #copy(): boolean {
    const { SOURCE, TARGET, COUNT } = this.regs;
    const bytes = Buffer.alloc(Math.min(COUNT, LONGEST_COPY));
    return this.memory.read(SOURCE, bytes) && this.memory.write(TARGET, bytes);
  }

  #map(): boolean {
    const { SOURCE, TARGET, COUNT } = this.regs;
    using source = this.memory.aperture(SOURCE, COUNT, { readOnly: true });
    using target = this.memory.aperture(TARGET, COUNT);
    if (source === undefined || target === undefined) return false;
    source.bytes.copy(target.bytes);
    return true;
  }
}

/** With MSI-X, function-level reset and capabilities in both lists. */
export class MsixProbe extends Probe {
  override readonly identity = {
    vendorId: 0x1234,
    deviceId: 0xc0f1,
    classCode: 0xff0000,
    revision: 3,
    subsystemVendorId: 0x4321,
    subsystemId: 0x1fc0,
  };
  override readonly interrupts = msix(4);
  override readonly capabilities = [
    powerManagement(),
    pciExpress({ functionLevelReset: true }),
    vendorSpecific(Buffer.from('conform!')),
    serialNumber(0x1122_3344_5566_7788n),
  ];

  protected override raise(vector: number): void {
    this.interrupts.raise(vector % 4);
  }
}

/** With four MSI vectors that can be masked. */
export class MsiProbe extends Probe {
  override readonly identity = { vendorId: 0x1234, deviceId: 0xc0f2, classCode: 0xff0000 };
  override readonly interrupts = msi(4);

  protected override raise(vector: number): void {
    this.interrupts.raise(vector % 4);
  }
}

/** Takes one configuration string, and refuses the machine any other. */
export class ConfiguredProbe extends MsiProbe {
  override readonly identity = { vendorId: 0x1234, deviceId: 0xc0f3, classCode: 0xff0000 };

  override configure(strings: readonly string[]): void {
    for (const text of strings) {
      const match = /^word=(\d+)$/.exec(text);
      if (match === null)
        throw new RangeError(`Cannot configure the probe with ${text}: use word=N`);
      this.regs.WORD = Number(match[1]);
    }
  }
}

/** With an interrupt line. */
export class IntxProbe extends Probe {
  override readonly identity = { vendorId: 0x1234, deviceId: 0xc0f5, classCode: 0xff0000 };
  override readonly interrupts = intx();

  protected override raise(): void {
    this.interrupts.assert();
  }
}

/** Registers of {@link DirectProbe}. */
export const DIRECT = registerMap({
  /** Which byte of the mapped pages {@link BYTE} is. */
  INDEX: u32(0x00),
  BYTE: u32(0x04),
  /** A bit for each doorbell that was rung; writing takes them back. */
  RUNG: u32(0x08, { access: 'w1c' }),
});

/** Where BAR 2 of {@link DirectProbe} has what hosts can serve without the device. */
export const Direct = { PAGES: 2, BELLS: 0x2000, STRIDE: 8 } as const;

/** With pages that the guest maps and doorbells whose values do not matter, both of which hosts may serve themselves. */
export class DirectProbe extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0xc0f6, classCode: 0xff0000 };
  readonly pages = mapped(Direct.PAGES);
  readonly regs = DIRECT.bind({
    BYTE: {
      read: () => this.pages.bytes[this.regs.INDEX] ?? 0,
      write: (value) => {
        this.pages.bytes[this.regs.INDEX] = value;
      },
    },
  });
  readonly bells = doorbells({
    count: 4,
    stride: Direct.STRIDE,
    valueless: true,
    ring: (index) => {
      this.regs.RUNG |= 1 << index;
    },
  });
  override readonly bars = {
    0: mmio(0x1000, { 0: this.regs }),
    2: mmio(0x4000, { 0: this.pages, [Direct.BELLS]: this.bells }),
  };
}

/** Another one, to be told from the first. */
export class TracedDirectProbe extends DirectProbe {
  override readonly identity = { vendorId: 0x1234, deviceId: 0xc0f7, classCode: 0xff0000 };
}
