import type { MessageSink, MsiOptions } from '../device/interrupts.ts';
import type { CapabilityBlock } from './capability-chain.ts';
import { CapabilityId } from './config-registers.ts';
import type { ConfigSpace } from './config-space.ts';
import type { FunctionState } from './function-state.ts';

/** Bits of Message Control (PCIe 6.0, 7.7.1.2). */
const Control = { ENABLE: 0x1, MULTIPLE_ENABLE: 0x70, IS_64_BIT: 0x80, MASKING: 0x100 } as const;

/**
 * MSI (PCIe 6.0, 7.7.1 and 6.1.4). A masked vector that is raised is pending until the guest unmasks it; while MSI is
 * disabled the function may not send messages, so what is raised then is lost. A vector raised with bus mastering off
 * waits for it, as a message is a memory write of the function (7.5.1.1.3).
 */
export class Msi implements MessageSink {
  readonly block: CapabilityBlock;
  readonly #state: FunctionState;
  readonly #is64Bit: boolean;
  readonly #masking: boolean;
  readonly #capableLog2: number;
  #space: ConfigSpace | undefined;
  #offset = 0;
  #pending = 0;

  constructor(state: FunctionState, count: number, options: MsiOptions) {
    const { is64Bit = true, perVectorMasking = true } = options;
    this.#state = state;
    this.#is64Bit = is64Bit;
    this.#masking = perVectorMasking;
    this.#capableLog2 = 32 - Math.clz32(count - 1);
    this.block = {
      name: 'MSI',
      id: CapabilityId.MSI,
      size: (is64Bit ? 14 : 10) + (perVectorMasking ? 10 : 0),
      fill: (space, offset) => this.#fill(space, offset),
    };
  }

  /** Where the capability is in config space. */
  get offset(): number {
    return this.#offset;
  }

  raise(vector: number): void {
    const { observer, started } = this.#state;
    observer?.interruptRaised?.(vector);
    if (!started || !this.#enabled) return;
    const sent = vector % this.#granted;
    this.#pending |= 1 << sent;
    this.flush();
  }

  withdraw(vector: number): void {
    this.#pending &= ~(1 << (vector % this.#granted));
    this.#showPending();
  }

  /** Sends what is pending and may be sent. Called after every change of a mask, an enable bit or a gate. */
  flush(): void {
    // Asked anew for each vector: a guest may act on a message at once, mask others or turn all off.
    for (let vector = 0; this.#maySend && vector < this.#granted; vector++) {
      if ((this.#pending & ~this.#masked & (1 << vector)) === 0) continue;
      this.#pending &= ~(1 << vector);
      this.#send(vector);
    }
    this.#showPending();
  }

  reset(): void {
    this.#pending = 0;
  }

  save(): number {
    return this.#pending >>> 0;
  }

  check(state: unknown): number {
    if (typeof state !== 'number' || state >>> 0 !== state) {
      throw new TypeError('Cannot restore MSI: the snapshot has no pending bits');
    }
    return state;
  }

  apply(pending: number): void {
    this.#pending = pending;
    this.#showPending();
  }

  get #maySend(): boolean {
    return this.#pending !== 0 && this.#enabled && this.#state.mastering;
  }

  get #masked(): number {
    return this.#masking ? this.#space!.words[this.#at(this.#maskOffset)]! : 0;
  }

  get #maskOffset(): number {
    return this.#is64Bit ? 0x10 : 0x0c;
  }

  #at(offset: number): number {
    return (this.#offset + offset) >>> 2;
  }

  get #control(): number {
    return this.#space === undefined ? 0 : this.#space.words[this.#offset >>> 2]! >>> 16;
  }

  get #enabled(): boolean {
    return (this.#control & Control.ENABLE) !== 0;
  }

  /** Vectors granted by Multiple Message Enable, never more than were asked for. */
  get #granted(): number {
    const log2 = (this.#control & Control.MULTIPLE_ENABLE) >>> 4;
    return 1 << Math.min(log2, this.#capableLog2);
  }

  /** The message data's low bits are the vector (PCIe 6.0, 6.1.4.2). */
  #send(vector: number): void {
    const { words } = this.#space as ConfigSpace;
    const high = this.#is64Bit ? words[this.#at(8)]! : 0;
    const data = words[this.#at(this.#is64Bit ? 0x0c : 0x08)]! & 0xffff;
    const address = high * 2 ** 32 + words[this.#at(4)]!;
    this.#state.deliver(vector, address, (data & ~(this.#granted - 1)) | vector);
  }

  #showPending(): void {
    if (!this.#masking || this.#space === undefined) return;
    this.#space.words[this.#at(this.#maskOffset + 4)] = this.#pending;
  }

  #fill(space: ConfigSpace, offset: number): void {
    this.#space = space;
    this.#offset = offset;
    const control =
      (this.#capableLog2 << 1) |
      (this.#is64Bit ? Control.IS_64_BIT : 0) |
      (this.#masking ? Control.MASKING : 0);
    space.view.setUint16(offset + 2, control, true);
    space.allow(offset, (Control.ENABLE | Control.MULTIPLE_ENABLE) << 16);
    space.allow(offset + 4, 0xffff_fffc);
    if (this.#is64Bit) space.allow(offset + 8, 0xffff_ffff);
    space.allow(offset + (this.#is64Bit ? 0x0c : 0x08), 0xffff);
    space.onWrite(offset, () => this.flush());
    if (!this.#masking) return;
    const vectors = 1 << this.#capableLog2;
    const ones = vectors === 32 ? 0xffff_ffff : 2 ** vectors - 1;
    space.allow(offset + this.#maskOffset, ones);
    space.onWrite(offset + this.#maskOffset, () => this.flush());
    space.live[this.#at(this.#maskOffset + 4)] = 0xffff_ffff;
  }
}
