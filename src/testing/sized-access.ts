/** Accesses of fixed widths over any width: what BARs and config space of a guest have in common. */
export abstract class SizedAccess {
  abstract read(offset: number, width: 1 | 2 | 4): number;
  abstract write(offset: number, width: 1 | 2 | 4, value: number): void;

  read8(offset: number): number {
    return this.read(offset, 1);
  }

  read16(offset: number): number {
    return this.read(offset, 2);
  }

  read32(offset: number): number {
    return this.read(offset, 4);
  }

  write8(offset: number, value: number): void {
    this.write(offset, 1, value);
  }

  write16(offset: number, value: number): void {
    this.write(offset, 2, value);
  }

  write32(offset: number, value: number): void {
    this.write(offset, 4, value);
  }
}
