import { AddressMap } from '../engines/simulated/address-map.ts';
import type { SimulatedMachine } from '../engines/simulated/machine.ts';
import { SizedAccess } from './sized-access.ts';

/** A capability as it was found. */
export interface GuestCapability {
  readonly id: number;
  /** Offset of its header in config space. */
  readonly offset: number;
  /** In the list that starts at 0x100 (PCIe 6.0, 7.6.1), not the one at 0x34. */
  readonly extended: boolean;
}

/** Config space of one function, as a driver reaches it: through ECAM. */
export class GuestConfigSpace extends SizedAccess {
  readonly #machine: SimulatedMachine;
  readonly #gpa: number;
  readonly #settle: () => void;

  /** @internal */
  constructor(machine: SimulatedMachine, device: number, settle: () => void) {
    super();
    this.#machine = machine;
    this.#gpa = AddressMap.ECAM + device * 0x8000;
    this.#settle = settle;
  }

  override read(offset: number, width: 1 | 2 | 4): number {
    const value = this.#machine.read(this.#gpa + (offset & 0xfff), width);
    this.#settle();
    return value;
  }

  override write(offset: number, width: 1 | 2 | 4, value: number): void {
    this.#machine.write(this.#gpa + (offset & 0xfff), width, value >>> 0);
    this.#settle();
  }

  /**
   * Walks both capability lists, in list order.
   * @throws Error when a list has a loop
   */
  capabilities(): GuestCapability[] {
    const found: GuestCapability[] = [];
    const seen = new Set<number>();
    const visit = (offset: number): void => {
      if (seen.has(offset)) {
        throw new Error(
          `Cannot walk the capability list: it comes back to 0x${offset.toString(16)}`,
        );
      }
      seen.add(offset);
    };
    const hasList = (this.read16(0x06) & 0x10) !== 0;
    for (let at = hasList ? this.read8(0x34) & 0xfc : 0; at !== 0; at = this.read8(at + 1) & 0xfc) {
      visit(at);
      found.push({ id: this.read8(at), offset: at, extended: false });
    }
    for (let at = 0x100; at !== 0; ) {
      const header = this.read32(at);
      if (header === 0 || header === 0xffff_ffff) break;
      visit(at);
      found.push({ id: header & 0xffff, offset: at, extended: true });
      at = (header >>> 20) & 0xffc;
    }
    return found;
  }

  /** Offset of the first capability with this id in the list at 0x34, or undefined. */
  find(id: number): number | undefined {
    return this.capabilities().find((found) => found.id === id && !found.extended)?.offset;
  }
}
