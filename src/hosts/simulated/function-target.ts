import { peekConfig } from '../../pci/config-access.ts';
import type { PciDeviceCallbacks, PciFunctionExtras } from '../../pci/device-callbacks.ts';
import type { DirectTable } from '../../pci/direct-table.ts';
import { Operation, type OperationCode, RESET_KINDS } from '../../transport/slot/slot-layout.ts';
import type { SlotTarget } from '../../transport/slot/slot-responder.ts';

/** What stands behind a slot: HDV's callbacks, and the extras where the function has them. */
export type TargetFunction = PciDeviceCallbacks & Partial<PciFunctionExtras>;

/** Turns accesses that come through slots into callbacks of functions. */
export class FunctionTarget implements SlotTarget {
  /** By number. */
  readonly #functions: (TargetFunction | undefined)[] = [];
  readonly #direct: (DirectTable | undefined)[] = [];

  /** @param direct what is served without the function */
  set(number: number, fn: TargetFunction, direct: DirectTable | undefined): void {
    while (this.#functions.length <= number) this.#functions.push(undefined);
    this.#functions[number] = fn;
    this.#direct[number] = direct;
  }

  delete(number: number): void {
    this.#functions[number] = undefined;
    this.#direct[number] = undefined;
  }

  access(
    operation: OperationCode,
    number: number,
    bar: number,
    offset: number,
    width: number,
    value: number,
  ): number {
    const fn = this.#functions[number];
    if (fn === undefined) return 0xffff_ffff;
    const direct = this.#direct[number];
    switch (operation) {
      case Operation.READ:
        if (direct !== undefined && direct.rangeCount > 0) {
          const read = direct.read(bar, offset, width as 1 | 2 | 4);
          if (read >= 0) return read;
        }
        return fn.readInterceptedMemory(bar, offset, width as 1 | 2 | 4);
      case Operation.WRITE:
        if (direct !== undefined && isDirect(direct, bar, offset, width, value)) return 0;
        fn.writeInterceptedMemory(bar, offset, width as 1 | 2 | 4, value);
        return 0;
      case Operation.READ_CONFIG:
        return fn.readConfigSpace(offset);
      case Operation.WRITE_CONFIG:
        fn.writeConfigSpace(offset, value);
        return 0;
      case Operation.PEEK_CONFIG:
        return peekConfig(fn, offset);
      case Operation.RESET:
        fn.reset?.(RESET_KINDS[value] ?? 'cold');
        return 0;
      default:
        return 0;
    }
  }
}

/** @returns whether a write went to memory or rang a doorbell */
function isDirect(
  direct: DirectTable,
  bar: number,
  offset: number,
  width: number,
  value: number,
): boolean {
  if (direct.rangeCount > 0 && direct.write(bar, offset, width as 1 | 2 | 4, value)) return true;
  return direct.doorbellCount > 0 && direct.ring(bar, offset, width, value >>> 0, 0);
}
