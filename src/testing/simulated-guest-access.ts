import type { SimulatedMachine } from '../engines/simulated/machine.ts';
import type { Slot } from '../engines/simulated/root-complex.ts';
import type {
  GuestAccess,
  GuestAllocation,
  GuestFunction,
  GuestFunctionInfo,
} from './guest-access.ts';
import { GuestPlatform } from './guest-platform.ts';
import { PciDriver } from './pci-driver.ts';

/** {@link GuestAccess} to a simulated machine; answers are there at once. One per machine at a time. */
export class SimulatedGuestAccess implements GuestAccess {
  readonly #platform: GuestPlatform;
  readonly #drivers = new Map<Slot, PciDriver>();
  readonly #allocations: number[] = [];

  constructor(machine: SimulatedMachine) {
    this.#platform = new GuestPlatform(machine);
  }

  async functions(): Promise<readonly GuestFunctionInfo[]> {
    return this.#enumerate().map(infoOf);
  }

  async open(match: {
    readonly vendorId: number;
    readonly deviceId: number;
  }): Promise<GuestFunction> {
    const driver = this.#enumerate().find(
      ({ vendorId, deviceId }) => vendorId === match.vendorId && deviceId === match.deviceId,
    );
    if (driver === undefined) {
      const ids = [match.vendorId, match.deviceId].map((id) => id.toString(16).padStart(4, '0'));
      throw new RangeError(`Cannot open ${ids.join(':')}: there is no such function on the bus`);
    }
    driver.enable();
    return new SimulatedGuestFunction(driver, this.#platform.machine);
  }

  async allocate(bytes: number): Promise<GuestAllocation> {
    const { memory } = this.#platform;
    const gpa = memory.allocate(bytes);
    this.#allocations.push(gpa);
    return {
      gpa,
      length: bytes,
      async read(offset, length) {
        return memory.read(gpa + offset, length);
      },
      async write(offset, from) {
        memory.write(gpa + offset, from);
      },
    };
  }

  async sleep(ms: number): Promise<void> {
    this.#platform.machine.advance(ms);
  }

  async close(): Promise<void> {
    for (const driver of this.#drivers.values()) driver.release();
    this.#drivers.clear();
    for (const gpa of this.#allocations.splice(0)) this.#platform.memory.free(gpa);
  }

  /** Drivers for what is on the bus now: new functions get one, functions that left lose theirs. */
  #enumerate(): PciDriver[] {
    const { slots } = this.#platform.machine.bus;
    for (const [slot, driver] of this.#drivers) {
      if (slots.includes(slot)) continue;
      driver.release();
      this.#drivers.delete(slot);
    }
    return slots.map((slot) => {
      const driver = this.#drivers.get(slot) ?? new PciDriver(this.#platform, slot);
      this.#drivers.set(slot, driver);
      return driver;
    });
  }
}

class SimulatedGuestFunction implements GuestFunction {
  readonly info: GuestFunctionInfo;
  readonly #driver: PciDriver;
  readonly #machine: SimulatedMachine;

  constructor(driver: PciDriver, machine: SimulatedMachine) {
    this.info = infoOf(driver);
    this.#driver = driver;
    this.#machine = machine;
  }

  async readConfig(offset: number, width: 1 | 2 | 4): Promise<number> {
    return this.#driver.config.read(offset, width);
  }

  async writeConfig(offset: number, width: 1 | 2 | 4, value: number): Promise<void> {
    this.#driver.config.write(offset, width, value);
  }

  async readBar(slot: number, offset: number, width: 1 | 2 | 4): Promise<number> {
    return this.#driver.bar(slot).read(offset, width);
  }

  async writeBar(slot: number, offset: number, width: 1 | 2 | 4, value: number): Promise<void> {
    this.#driver.bar(slot).write(offset, width, value);
  }

  async readBar64(slot: number, offset: number): Promise<bigint> {
    return this.#driver.bar(slot).read64(offset);
  }

  async writeBar64(slot: number, offset: number, value: bigint): Promise<void> {
    this.#driver.bar(slot).write64(offset, value);
  }

  async enableInterrupts(kind: 'msix' | 'msi' | 'intx', count: number): Promise<void> {
    const { interrupts } = this.#driver;
    if (kind === 'msix') interrupts.enableMsix(count);
    else if (kind === 'msi') interrupts.enableMsi(count);
    else interrupts.enableIntx();
  }

  async disableInterrupts(): Promise<void> {
    this.#driver.interrupts.disable();
  }

  async takeInterrupts(): Promise<readonly number[]> {
    return this.#driver.takeInterrupts();
  }

  async waitInterrupt(vector: number, timeoutMs?: number): Promise<void> {
    this.#driver.waitInterrupt(vector, timeoutMs);
  }

  async reset(): Promise<void> {
    this.#driver.functionLevelReset();
    this.#machine.bus.refresh();
  }
}

function infoOf(driver: PciDriver): GuestFunctionInfo {
  return {
    address: driver.address,
    vendorId: driver.vendorId,
    deviceId: driver.deviceId,
    classCode: driver.classCode,
    bars: driver.bars.map(({ slot, gpa, size }) => ({ slot, gpa, size })),
  };
}
