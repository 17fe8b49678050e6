import { mmio, msi, PciDevice, registerMap, u32 } from 'hdvkit';

/** What a write to TROUBLE does. */
export const Trouble = {
  THROW: 1,
  LOOP: 2,
  EXIT: 3,
  FILL_HEAP: 4,
  LOOP_IN_TIMER: 5,
  THROW_LATE: 6,
  REJECT: 7,
  SLOW: 8,
  /** A loop that writes guest memory. */
  LOOP_IN_DMA: 9,
} as const;

/** Makes the trouble of a number, where a device does it; returns nothing from those that never return. */
export function makeTrouble(what: number): number {
  switch (what) {
    case Trouble.THROW:
      throw new Error('thrown by a hook');
    case Trouble.LOOP:
      for (;;);
    case Trouble.EXIT:
      return process.exit(5);
    case Trouble.FILL_HEAP: {
      const hoard: unknown[] = [];
      for (;;) hoard.push(new Array(1000).fill(hoard.length));
    }
    case Trouble.THROW_LATE:
      setTimeout(() => {
        throw new Error('thrown late');
      }, 1);
      return 0;
    case Trouble.REJECT:
      void Promise.reject(new Error('rejected'));
      return 0;
    case Trouble.SLOW: {
      const end = performance.now() + 300;
      while (performance.now() < end);
      return 0x510;
    }
    default:
      return 0;
  }
}

export const TROUBLE = registerMap({
  ID: u32(0x00, { access: 'ro', reset: 0x7041_b1e0 }),
  SCRATCH: u32(0x04),
  TROUBLE: u32(0x08),
  /** Reading it makes the trouble whose number was written here. */
  TROUBLE_ON_READ: u32(0x0c),
  TICKS: u32(0x10, { access: 'ro' }),
});

/** A device that a guest can drive into everything a device's author can do wrong. */
export class TroubleDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1af5, deviceId: 0x7001, classCode: 0xff0000 };
  override readonly interrupts = msi(1);
  readonly regs = TROUBLE.bind({
    TROUBLE: { write: (what) => this.#make(what) },
    TROUBLE_ON_READ: { read: () => this.#make(this.regs.TROUBLE_ON_READ) },
  });
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };
  #writesAtStart = false;

  override configure(strings: readonly string[]): void {
    for (const text of strings) {
      if (text === 'loop') this.#make(Trouble.LOOP);
      if (text === 'write') this.#writesAtStart = true;
      else if (text !== 'fine') throw new RangeError(`Cannot configure '${text}': use 'fine'`);
    }
  }

  override start(): void {
    if (this.#writesAtStart) this.memory.write(0x1000, Buffer.of(1));
    this.#tick();
  }

  #tick(): void {
    this.regs.TICKS++;
    this.clock.after(5, () => this.#tick());
  }

  #make(what: number): number {
    if (what !== Trouble.LOOP_IN_TIMER) return makeTrouble(what);
    this.clock.after(0, () => makeTrouble(Trouble.LOOP));
    return 0;
  }
}
