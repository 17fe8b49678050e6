import { doorbells, intx, mapped, mmio, PciDevice, ram, registerMap, u32 } from 'hdvkit';
import { makeTrouble } from '../../host/trouble-device.ts';

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

/** Id of {@link PageDevice}. */
export const PAGE_DEVICE = 0xe003;

/** Where {@link PageDevice} has what in BAR 0. */
export const PageOffset = { WAIT: 0, RUNG: 4, TROUBLE: 8, BELL: 0x800, PAGE: 0x1000 } as const;

/** Words of the page of {@link PageDevice}. */
export const PageWord = { WAITS: 0, GO: 1, VALUE: 2 } as const;

/** Longest that a read of WAIT takes: as long as nobody writes the page, which must not need this thread. */
const PATIENCE_MS = 20_000;

/** A read that is answered once somebody has written a page meanwhile, and a doorbell. */
export class PageDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: PAGE_DEVICE, classCode: 0xff0000 };
  readonly page = mapped(1);
  readonly regs = registerMap({
    WAIT: u32(PageOffset.WAIT, { access: 'ro' }),
    RUNG: u32(PageOffset.RUNG, { access: 'ro' }),
    TROUBLE: u32(PageOffset.TROUBLE),
  }).bind({
    WAIT: { read: () => this.#wait() },
    TROUBLE: { write: (what) => void makeTrouble(what) },
  });
  readonly bell = doorbells({
    count: 1,
    valueless: true,
    ring: () => {
      this.regs.RUNG++;
    },
  });
  override readonly bars = {
    0: mmio(0x2000, {
      0: this.regs,
      [PageOffset.BELL]: this.bell,
      [PageOffset.PAGE]: this.page,
    }),
  };

  #wait(): number {
    const { buffer, byteOffset } = this.page.bytes;
    const words = new Int32Array(buffer, byteOffset, 3);
    Atomics.store(words, PageWord.WAITS, 1);
    const end = performance.now() + PATIENCE_MS;
    while (Atomics.load(words, PageWord.GO) === 0) {
      if (performance.now() > end) return 0;
      // Shared memory, or this throws.
      Atomics.wait(words, PageWord.GO, 0, 5);
    }
    return Atomics.load(words, PageWord.VALUE);
  }
}
