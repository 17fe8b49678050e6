import type { SimulatedMachine } from '../engines/simulated/machine.ts';
import { SizedAccess } from './sized-access.ts';

/** A BAR as a driver uses it, placed and decoded. One call is one access, misaligned ones included. */
export class GuestBar extends SizedAccess {
  readonly slot: number;
  readonly size: number;
  readonly is64Bit: boolean;
  readonly prefetchable: boolean;
  /** Where it was placed. */
  readonly gpa: number;
  readonly #machine: SimulatedMachine;
  readonly #settle: () => void;

  /** @internal */
  constructor(
    machine: SimulatedMachine,
    shape: Pick<GuestBar, 'slot' | 'size' | 'is64Bit' | 'prefetchable' | 'gpa'>,
    settle: () => void,
  ) {
    super();
    this.#machine = machine;
    this.#settle = settle;
    this.slot = shape.slot;
    this.size = shape.size;
    this.is64Bit = shape.is64Bit;
    this.prefetchable = shape.prefetchable;
    this.gpa = shape.gpa;
  }

  override read(offset: number, width: 1 | 2 | 4): number {
    const value = this.#machine.read(this.gpa + offset, width);
    this.#settle();
    return value;
  }

  override write(offset: number, width: 1 | 2 | 4, value: number): void {
    this.#machine.write(this.gpa + offset, width, value >>> 0);
    this.#settle();
  }

  /** Two 4-byte accesses, low half first, as every host splits it. */
  read64(offset: number): bigint {
    const low = this.read(offset, 4);
    return (BigInt(this.read(offset + 4, 4)) << 32n) | BigInt(low);
  }

  /** Two 4-byte accesses, low half first. A number serves for addresses; it must be a safe integer. */
  write64(offset: number, value: bigint | number): void {
    const bits = BigInt.asUintN(64, BigInt(value));
    this.write(offset, 4, Number(bits & 0xffff_ffffn));
    this.write(offset + 4, 4, Number(bits >> 32n));
  }
}
