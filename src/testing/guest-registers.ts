import type { RegisterDescription } from '../device/register-description.ts';
import type { RegisterMap, RegisterSpecs } from '../device/register-map.ts';
import type { GuestBar } from './guest-bar.ts';

/** The registers of a map as a driver uses them: by name, each access as wide as the register. */
export class GuestRegisters<S extends RegisterSpecs> {
  readonly #bar: GuestBar;
  readonly #map: RegisterMap<S>;
  readonly #base: number;

  /** @param base offset of the map in the BAR */
  constructor(bar: GuestBar, map: RegisterMap<S>, base = 0) {
    this.#bar = bar;
    this.#map = map;
    this.#base = base;
  }

  /** Reads a register, or element `index` of an array. 64 bits beyond 2^53 lose their lowest: use {@link read64}. */
  read(name: keyof S & string, index = 0): number {
    const { width } = this.#register(name);
    const offset = this.#base + this.#map.offset(name, index);
    return width === 8 ? Number(this.#bar.read64(offset)) : this.#bar.read(offset, width);
  }

  /** Reads a 64-bit register exactly. */
  read64(name: keyof S & string, index = 0): bigint {
    return this.#bar.read64(this.#base + this.#map.offset(name, index));
  }

  /** Writes a register, or element `index` of an array. */
  write(name: keyof S & string, value: number | bigint, index = 0): void {
    const { width } = this.#register(name);
    const offset = this.#base + this.#map.offset(name, index);
    if (width === 8) this.#bar.write64(offset, value);
    else this.#bar.write(offset, width, Number(value));
  }

  #register(name: string): RegisterDescription {
    return this.#map.registers.find((register) => register.name === name) as RegisterDescription;
  }
}
