import { AddressMap } from '../engines/simulated/address-map.ts';
import type { SimulatedMachine } from '../engines/simulated/machine.ts';
import { VmMemory } from './guest-memory.ts';
import { MessageAllocator } from './message-allocator.ts';
import { type DriverPlatform, PciDriver } from './pci-driver.ts';
import { RangeAllocator } from './range-allocator.ts';

/**
 * What a guest's kernel keeps for a machine: who has which memory, which address window and which interrupt message.
 * One per machine; guest programs start here.
 *
 * ```ts
 * const guest = new GuestPlatform(new SimulatedMachine());
 * for (const driver of guest.enumerate()) console.log(driver.address, driver.bars);
 * ```
 */
export class GuestPlatform implements DriverPlatform {
  readonly machine: SimulatedMachine;
  readonly memory: VmMemory;
  readonly messages: MessageAllocator;
  readonly #mmio32 = new RangeAllocator(
    AddressMap.MMIO_32,
    AddressMap.MMIO_32_SIZE,
    'the window for 32-bit BARs',
  );
  readonly #mmio64 = new RangeAllocator(
    AddressMap.MMIO_64,
    AddressMap.MMIO_64_SIZE,
    'the window for 64-bit BARs',
  );

  constructor(machine: SimulatedMachine) {
    this.machine = machine;
    this.memory = new VmMemory(machine.ram);
    this.messages = new MessageAllocator(machine);
  }

  /** Goes over the bus, places every BAR and turns every function on, in the order of device numbers. */
  enumerate(): PciDriver[] {
    return this.machine.bus.slots.map((slot) => new PciDriver(this, slot));
  }

  /** Where BARs of this kind are placed. @internal */
  windowFor(is64Bit: boolean): RangeAllocator {
    return is64Bit ? this.#mmio64 : this.#mmio32;
  }
}
