import type { Bars } from './bar.ts';
import type { Capability } from './capabilities.ts';
import type { Interrupts } from './interrupts.ts';
import type { Clock, DeviceServices, GuestMemory, ResetKind } from './services.ts';

/** Who a function says it is. */
export interface PciIdentity {
  /** 16 bits. */
  readonly vendorId: number;
  /** 16 bits. */
  readonly deviceId: number;
  /** Base class, subclass and programming interface, 24 bits: 0x010802 is NVMe. */
  readonly classCode: number;
  /** 8 bits; default 0. */
  readonly revision?: number;
  /** 16 bits; default the vendor id. */
  readonly subsystemVendorId?: number;
  /** 16 bits; default the device id. */
  readonly subsystemId?: number;
}

/** Where a device keeps its services. Found by name, also across two copies of the package. */
const SERVICES: unique symbol = Symbol.for('hdvkit.device.services') as never;

/**
 * One PCI function as its author writes it: fields declare, methods act. No method of this class need be called by an
 * overriding one. All methods are synchronous and run on one thread, never one inside another.
 */
export abstract class PciDevice {
  abstract readonly identity: PciIdentity;
  /** BARs by slot. */
  readonly bars: Bars = {};
  /** How the device interrupts: `msix(2)`, `msi(1)` or `intx()`. */
  readonly interrupts: Interrupts = { kind: 'none' };
  /** Capability lists, besides MSI and MSI-X. */
  readonly capabilities: readonly Capability[] = [];
  /** @internal */
  [SERVICES]: DeviceServices = detached;

  /** Guest memory. Fails until {@link PciDevice.start} and after {@link PciDevice.stop}. */
  get memory(): GuestMemory {
    return this[SERVICES].memory;
  }

  /** Timers that end with {@link PciDevice.stop} and each reset. */
  get clock(): Clock {
    return this[SERVICES].clock;
  }

  /** Says that the guest did something which the device's specification forbids: counted and reported, never thrown. */
  guestError(text: string): void {
    this[SERVICES].guestError(text);
  }

  /**
   * Takes the configuration strings, before {@link PciDevice.start} and again after each reset, which they outlast: they
   * may be kept in registers. An empty list when there are none.
   * @throws RangeError for what it does not know, which fails the attach
   */
  configure(strings: readonly string[]): void {
    if (strings.length === 0) return;
    throw new RangeError(
      `Cannot configure ${this.constructor.name} with ${JSON.stringify(strings[0])}: it takes no configuration`,
    );
  }

  /** From now on the device may act on its own. Called after attach, after restore, and when a machine resumes. */
  start(): void {}

  /** Once this has returned: no DMA, no interrupt, no timer. */
  stop(): void {}

  /** Puts back what regions do not cover. Regions, interrupts, timers and config space have been reset before. */
  reset(_kind: ResetKind): void {}

  /** A plain object with a `version`, holding what regions do not cover; undefined when there is nothing. */
  save(): unknown {
    return undefined;
  }

  /** Takes what {@link PciDevice.save} gave, after the regions have been restored. */
  restore(_state: unknown): void {}
}

/** Gives a device what surrounds it, or takes it away: undefined. Called by the framework only. */
export function connectServices(device: PciDevice, services: DeviceServices | undefined): void {
  device[SERVICES] = services ?? detached;
}

/** Is this a device, of this or another copy of the package? */
export function isPciDevice(value: unknown): value is PciDevice {
  return typeof value === 'object' && value !== null && SERVICES in value;
}

/** Is this a class of devices, of this or another copy of the package? It has not been constructed. */
export function isPciDeviceClass(value: unknown): value is new () => PciDevice {
  if (typeof value !== 'function') return false;
  const prototype: unknown = value.prototype;
  if (typeof prototype !== 'object' || prototype === null) return false;
  const known = prototype as Partial<PciDevice>;
  return typeof known.guestError === 'function' && typeof known.configure === 'function';
}

function missing(what: string): never {
  throw new Error(
    `Cannot use ${what}: the device is not attached to a host; use it from start() on, not in the constructor`,
  );
}

/** What a device has before it is attached. */
const detached: DeviceServices = {
  memory: {
    read: () => missing('memory.read'),
    write: () => missing('memory.write'),
    aperture: () => missing('memory.aperture'),
  },
  clock: {
    get now(): number {
      return missing('clock.now');
    },
    after: () => missing('clock.after'),
  },
  guestError: () => missing('guestError'),
};
