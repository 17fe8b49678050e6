import type { Aperture, GuestMemory } from '../device/services.ts';

/** Guest memory that comes and goes with a connection: without one, nothing is memory. */
export class LentMemory implements GuestMemory {
  #lender: GuestMemory | undefined;

  /** Passes requests on to `lender` until {@link LentMemory.withdraw}. */
  lend(lender: GuestMemory): void {
    this.#lender = lender;
  }

  /** From now on there is no memory; apertures that are still open are the lender's affair. */
  withdraw(): void {
    this.#lender = undefined;
  }

  read(gpa: number, into: Uint8Array): boolean {
    if (this.#lender !== undefined) return this.#lender.read(gpa, into);
    into.fill(0xff);
    return false;
  }

  write(gpa: number, from: Uint8Array): boolean {
    return this.#lender?.write(gpa, from) ?? false;
  }

  aperture(
    gpa: number,
    length: number,
    options?: { readonly readOnly?: boolean },
  ): Aperture | undefined {
    return this.#lender?.aperture(gpa, length, options);
  }
}
