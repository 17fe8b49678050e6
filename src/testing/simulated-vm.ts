import type { PciDevice } from '../device/pci-device.ts';
import { InterruptLine } from '../engines/simulated/interrupts.ts';
import { SimulatedMachine, type SimulatedMachineOptions } from '../engines/simulated/machine.ts';
import type { Slot } from '../engines/simulated/root-complex.ts';
import { PciFunction } from '../pci/pci-function.ts';
import { copyState } from './copy-state.ts';
import { Guest, GuestNotices, type GuestSnapshot } from './guest.ts';
import type { VmMemory } from './guest-memory.ts';
import { GuestPlatform } from './guest-platform.ts';

/** How a {@link SimulatedVm} is built. */
export type SimulatedVmOptions = SimulatedMachineOptions;

/** How a device is plugged into a {@link SimulatedVm}. */
export interface PlugOptions {
  /** Configuration strings, as a VM's document would give them. */
  readonly configuration?: readonly string[];
  /** State to start from, in place of the state after reset. */
  readonly snapshot?: GuestSnapshot;
  /** Do not throw when the device fails; the guest then sees all ones, and `guest.failure` has the error. */
  readonly tolerateFailure?: boolean;
  /** Leave interrupts off. */
  readonly interrupts?: 'best' | 'off';
}

/**
 * A simulated machine for tests: everything happens at once and on this thread, time passes only in
 * {@link SimulatedVm.advance}, and a machine with the same seed does the same things.
 *
 * ```ts
 * const vm = new SimulatedVm();
 * const guest = vm.plug(new EduDevice());
 * guest.bar(0).read32(0); // 0x010000ed
 * ```
 */
export class SimulatedVm {
  readonly machine: SimulatedMachine;
  readonly platform: GuestPlatform;
  readonly #plugged = new Map<Guest, { fn: PciFunction; notices: GuestNotices }>();

  constructor(options: SimulatedVmOptions = {}) {
    this.machine = new SimulatedMachine(options);
    this.platform = new GuestPlatform(this.machine);
  }

  /** Guest memory: allocate here what the device shall use. */
  get memory(): VmMemory {
    return this.platform.memory;
  }

  /** Milliseconds since power-on. */
  get now(): number {
    return this.machine.clock.now;
  }

  /**
   * Attaches a device as a host does, then does what a guest's kernel and driver do first: sizes and places the BARs,
   * turns on memory decoding, bus mastering and the best interrupts the function has.
   * @throws whatever the device throws from its configuration or start; it is then out again
   */
  plug(device: PciDevice, options: PlugOptions = {}): Guest {
    const { configuration = [], snapshot, tolerateFailure = false, interrupts = 'best' } = options;
    const notices = new GuestNotices(tolerateFailure);
    const line = new InterruptLine();
    const fn = new PciFunction(device);
    fn.connect(this.machine.portFor(line, notices.report));
    fn.initialize();
    let slot: Slot | undefined;
    let guest: Guest | undefined;
    try {
      fn.setConfiguration(configuration);
      if (snapshot !== undefined) fn.restore(copyState(snapshot.function));
      slot = this.machine.plug(fn, line);
      fn.start();
      guest = new Guest(this.platform, slot, fn, notices);
      if (snapshot !== undefined) guest.adoptRestored();
      else if (interrupts === 'best') guest.interrupts.enableBest();
      notices.settle();
    } catch (error) {
      guest?.release();
      if (slot !== undefined) this.machine.unplug(slot);
      fn.teardown();
      throw error;
    }
    this.#plugged.set(guest, { fn, notices });
    return guest;
  }

  /** Takes a device out: it is stopped and torn down, and its addresses read all ones. */
  unplug(guest: Guest): void {
    const plugged = this.#plugged.get(guest);
    if (plugged === undefined) return;
    this.#plugged.delete(guest);
    guest.release();
    this.machine.unplug(guest.slot);
    plugged.fn.stop();
    plugged.fn.teardown();
    plugged.notices.settle();
  }

  /** Takes a device out and plugs another of its class in its place, with its state: a migration in short. */
  replug(guest: Guest, device: PciDevice, options: Omit<PlugOptions, 'snapshot'> = {}): Guest {
    const snapshot = guest.snapshot();
    this.unplug(guest);
    return this.plug(device, { ...options, snapshot });
  }

  /** Lets `ms` of machine time pass: timers of all devices fire in order. */
  advance(ms: number): void {
    this.machine.advance(ms);
    for (const { notices } of this.#plugged.values()) notices.settle();
  }

  /** Resets every device as the machine's reset line does, and lets each guest place its BARs again. */
  reset(): void {
    for (const guest of this.#plugged.keys()) guest.reset('cold');
  }

  /** Unplugs everything; apertures that devices hold no longer are the guest's. */
  [Symbol.dispose](): void {
    for (const guest of [...this.#plugged.keys()]) this.unplug(guest);
    this.machine.ram.revokeAll();
  }
}

/** Plugs a device into a machine of its own. */
export function plug(device: PciDevice, options: PlugOptions & SimulatedVmOptions = {}): Guest {
  return new SimulatedVm(options).plug(device, options);
}
