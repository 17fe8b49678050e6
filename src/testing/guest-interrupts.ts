import type { Slot } from '../engines/simulated/root-complex.ts';
import type { GuestConfigSpace } from './config-space.ts';
import type { GuestBar } from './guest-bar.ts';
import { MsiControl, msiMaskOffset, writeMsiMessage } from './guest-msi.ts';
import { GuestMsixTable } from './guest-msix-table.ts';
import type { MessageAllocator } from './message-allocator.ts';

const CAPABILITY_MSI = 0x05;
const CAPABILITY_MSIX = 0x11;
const COMMAND = 0x04;
const INTERRUPT_DISABLE = 0x400;

/** Message Control of MSI-X (PCIe 6.0, 7.7.2.2). */
const MsixControl = { ENABLE: 0x8000, FUNCTION_MASK: 0x4000, TABLE_SIZE: 0x7ff } as const;

/** How a driver has its function interrupt. */
export type InterruptMode = 'none' | 'intx' | 'msi' | 'msix';

/** What the interrupts need of their driver. */
interface DriverParts {
  readonly config: GuestConfigSpace;
  readonly messages: MessageAllocator;
  readonly slot: Slot;
  readonly bar: (slot: number) => GuestBar;
}

/** A driver's side of interrupts: it programs vectors, masks them, and takes what arrives. */
export class GuestInterrupts {
  readonly #parts: DriverParts;
  #mode: InterruptMode = 'none';
  #count = 0;
  #arrived: number[] = [];
  readonly #arrive = (index: number): void => {
    this.#arrived.push(index);
  };
  /** One handler per MSI-X vector: each vector has a message of its own. */
  #perVector: ((index: number) => void)[] = [];

  /** @internal */
  constructor(parts: DriverParts) {
    this.#parts = parts;
  }

  get mode(): InterruptMode {
    return this.#mode;
  }

  /** Vectors that were programmed. */
  get count(): number {
    return this.#count;
  }

  /** Vectors the function has in its best mode, and that mode. */
  get offered(): { readonly mode: InterruptMode; readonly count: number } {
    const { config } = this.#parts;
    const msix = config.find(CAPABILITY_MSIX);
    if (msix !== undefined) {
      return { mode: 'msix', count: (config.read16(msix + 2) & MsixControl.TABLE_SIZE) + 1 };
    }
    const msi = config.find(CAPABILITY_MSI);
    if (msi !== undefined) {
      return { mode: 'msi', count: 1 << ((config.read16(msi + 2) >> 1) & 7) };
    }
    return config.read8(0x3d) === 0 ? { mode: 'none', count: 0 } : { mode: 'intx', count: 1 };
  }

  /**
   * Programs and unmasks `count` vectors, all of them by default, and turns MSI-X on.
   * @throws Error when the function has no MSI-X; RangeError when it has fewer vectors
   */
  enableMsix(count?: number): void {
    const at = this.#capability(CAPABILITY_MSIX, 'MSI-X');
    const { config } = this.#parts;
    const control = config.read16(at + 2);
    const size = (control & MsixControl.TABLE_SIZE) + 1;
    const wanted = checkCount(count ?? size, size);
    this.disable();
    config.write16(at + 2, MsixControl.ENABLE | MsixControl.FUNCTION_MASK);
    for (let vector = 0; vector < wanted; vector++) {
      const handler = (): void => this.#arrive(vector);
      this.#perVector.push(handler);
      const { address, data } = this.#parts.messages.allocate(1, handler);
      this.#table(at).write(vector, address, data, 0);
    }
    config.write16(at + 2, MsixControl.ENABLE);
    this.#mode = 'msix';
    this.#count = wanted;
  }

  /**
   * Programs `count` vectors, all that are offered by default, and turns MSI on.
   * @throws Error when the function has no MSI; RangeError when it has fewer vectors or `count` is no power of two
   */
  enableMsi(count?: number): void {
    const at = this.#capability(CAPABILITY_MSI, 'MSI');
    const { config } = this.#parts;
    const control = config.read16(at + 2);
    const size = 1 << ((control >> 1) & 7);
    const wanted = checkCount(count ?? size, size);
    const log2 = Math.log2(wanted);
    if (!Number.isInteger(log2)) {
      throw new RangeError(`Cannot enable ${wanted} MSI vectors: use a power of two`);
    }
    this.disable();
    const { address, data } = this.#parts.messages.allocate(wanted, this.#arrive);
    writeMsiMessage(config, at, control, address, data);
    if (control & MsiControl.PER_VECTOR_MASKING) config.write32(msiMaskOffset(at, control), 0);
    config.write16(at + 2, (control & ~0x71) | (log2 << 4) | MsiControl.ENABLE);
    this.#mode = 'msi';
    this.#count = wanted;
  }

  /** Lets the function use its interrupt line; each assertion arrives as vector 0. */
  enableIntx(): void {
    this.disable();
    const { config, slot } = this.#parts;
    this.#mode = 'intx';
    this.#count = 1;
    slot.line.onChange = (asserted) => {
      if (asserted) this.#arrive(0);
    };
    if (slot.line.asserted) this.#arrive(0);
    config.write16(COMMAND, config.read16(COMMAND) & ~INTERRUPT_DISABLE);
  }

  /** Turns on the best that the function offers. */
  enableBest(): void {
    const { mode } = this.offered;
    if (mode === 'msix') this.enableMsix();
    else if (mode === 'msi') this.enableMsi();
    else if (mode === 'intx') this.enableIntx();
  }

  /** Turns interrupts off and gives the messages back. */
  disable(): void {
    const { config, messages, slot } = this.#parts;
    if (this.#mode === 'msix') {
      const at = this.#capability(CAPABILITY_MSIX, 'MSI-X');
      config.write16(at + 2, 0);
    } else if (this.#mode === 'msi') {
      const at = this.#capability(CAPABILITY_MSI, 'MSI');
      config.write16(at + 2, config.read16(at + 2) & ~MsiControl.ENABLE);
    } else if (this.#mode === 'intx') {
      config.write16(COMMAND, config.read16(COMMAND) | INTERRUPT_DISABLE);
    }
    this.forget();
    slot.line.onChange = undefined;
    messages.free(this.#arrive);
  }

  /** Is the interrupt line asserted? */
  get line(): boolean {
    this.#parts.messages.dispatch();
    return this.#parts.slot.line.asserted;
  }

  /** Vectors that arrived since the last call, in order of arrival. */
  take(): number[] {
    this.#parts.messages.dispatch();
    const taken = this.#arrived;
    this.#arrived = [];
    return taken;
  }

  /** Takes the first arrival of a vector; false when there is none. */
  takeOne(vector: number): boolean {
    this.#parts.messages.dispatch();
    const at = this.#arrived.indexOf(vector);
    if (at >= 0) this.#arrived.splice(at, 1);
    return at >= 0;
  }

  /** Can this vector be masked by itself, in the mode that is on? */
  canMask(vector: number): boolean {
    if (vector >= this.#count) return false;
    if (this.#mode !== 'msi') return this.#mode === 'msix';
    const at = this.#capability(CAPABILITY_MSI, 'MSI');
    return (this.#parts.config.read16(at + 2) & MsiControl.PER_VECTOR_MASKING) !== 0;
  }

  /** Masks or unmasks one vector, in the MSI-X table or the MSI mask bits. */
  setMask(vector: number, masked: boolean): void {
    const { config } = this.#parts;
    if (this.#mode === 'msix') {
      const at = this.#capability(CAPABILITY_MSIX, 'MSI-X');
      this.#table(at).writeControl(vector, masked ? 1 : 0);
      return;
    }
    const { mask } = this.#msiMaskRegisters();
    const bits = config.read32(mask);
    config.write32(mask, masked ? bits | (1 << vector) : bits & ~(1 << vector));
  }

  /** Masks or unmasks all MSI-X vectors at once. */
  setFunctionMask(masked: boolean): void {
    const at = this.#capability(CAPABILITY_MSIX, 'MSI-X');
    const { config } = this.#parts;
    const control = config.read16(at + 2) & ~MsixControl.FUNCTION_MASK;
    config.write16(at + 2, masked ? control | MsixControl.FUNCTION_MASK : control);
  }

  /** Does a vector wait to be unmasked? */
  isPending(vector: number): boolean {
    const { config } = this.#parts;
    if (this.#mode === 'msix') {
      const at = this.#capability(CAPABILITY_MSIX, 'MSI-X');
      return this.#table(at).isPending(vector);
    }
    const { pending } = this.#msiMaskRegisters();
    return ((config.read32(pending) >>> vector) & 1) !== 0;
  }

  /**
   * Takes over what a restored function has programmed: same mode, same masks, messages of this driver's own.
   * @internal
   */
  adopt(): void {
    const { config, messages } = this.#parts;
    this.forget();
    const msix = config.find(CAPABILITY_MSIX);
    const msi = config.find(CAPABILITY_MSI);
    if (msix !== undefined && config.read16(msix + 2) & MsixControl.ENABLE) {
      const control = config.read16(msix + 2);
      config.write16(msix + 2, control | MsixControl.FUNCTION_MASK);
      this.#count = (control & MsixControl.TABLE_SIZE) + 1;
      for (let vector = 0; vector < this.#count; vector++) {
        const table = this.#table(msix);
        if (table.readAddress(vector) === 0) continue; // never programmed
        const handler = (): void => this.#arrive(vector);
        this.#perVector.push(handler);
        const { address, data } = messages.allocate(1, handler);
        table.write(vector, address, data, table.readControl(vector));
      }
      this.#mode = 'msix';
      config.write16(msix + 2, control);
    } else if (msi !== undefined && config.read16(msi + 2) & MsiControl.ENABLE) {
      const control = config.read16(msi + 2);
      this.#count = 1 << ((control >> 4) & 7);
      const { address, data } = messages.allocate(this.#count, this.#arrive);
      config.write16(msi + 2, control & ~MsiControl.ENABLE);
      writeMsiMessage(config, msi, control, address, data);
      this.#mode = 'msi';
      config.write16(msi + 2, control);
    } else if (config.read8(0x3d) !== 0 && !(config.read16(COMMAND) & INTERRUPT_DISABLE)) {
      this.enableIntx();
    }
  }

  /** Forgets what was programmed, after a reset; what arrived stays to be taken. @internal */
  forget(): void {
    const { messages } = this.#parts;
    messages.dispatch();
    for (const handler of this.#perVector) messages.free(handler);
    messages.free(this.#arrive);
    this.#perVector = [];
    this.#mode = 'none';
    this.#count = 0;
  }

  #msiMaskRegisters(): { readonly mask: number; readonly pending: number } {
    const at = this.#capability(CAPABILITY_MSI, 'MSI');
    const control = this.#parts.config.read16(at + 2);
    if (!(control & MsiControl.PER_VECTOR_MASKING)) {
      throw new Error('Cannot mask a vector: the function has MSI without per-vector masking');
    }
    const mask = msiMaskOffset(at, control);
    return { mask, pending: mask + 4 };
  }

  #table(at: number): GuestMsixTable {
    return new GuestMsixTable(this.#parts.config, at, this.#parts.bar);
  }

  #capability(id: number, name: string): number {
    const offset = this.#parts.config.find(id);
    if (offset === undefined) {
      throw new Error(`Cannot use ${name}: the function has no such capability`);
    }
    return offset;
  }
}

function checkCount(count: number, offered: number): number {
  if (!Number.isInteger(count) || count < 1 || count > offered) {
    throw new RangeError(`Cannot enable ${count} vectors: the function offers 1 to ${offered}`);
  }
  return count;
}
