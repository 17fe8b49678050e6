import type { Aperture, GuestMemory } from '../device/services.ts';
import type { PciHost } from '../pci/host.ts';
import type { HdvBinding } from './hdv-binding.ts';
import { HdvError } from './hdv-error.ts';
import type { HDV_DEVICE, VmDeviceHost } from './vm-device-host.ts';

const PAGE = 4096;
/** Longest that HDV copies or maps in one call: its counts have 32 bits. */
const MAX_LENGTH = 0xffff_ffff;

/**
 * What a function needs of its host, made from the Hdv functions. This is how a function that runs on this thread
 * reaches guest memory and interrupts on every host.
 */
export function hdvServices(
  binding: HdvBinding,
  device: HDV_DEVICE,
  report: PciHost['report'],
): PciHost {
  const { vmDeviceHost, platform, capabilities } = binding;
  return {
    capabilities,
    memory: new HdvMemory(vmDeviceHost, device),
    clock: platform.clock(device),
    deliverInterrupt(address, data) {
      try {
        vmDeviceHost.HdvDeliverGuestInterrupt(device, address, data);
      } catch (error) {
        // Delivery fails once the machine is gone; the guest that would miss it is gone too.
        if (!(error instanceof HdvError)) throw error;
      }
    },
    setInterruptLine(asserted) {
      platform.setInterruptLine?.(device, asserted);
    },
    report,
  };
}

/** Guest memory by HdvRead/WriteGuestMemory, and apertures. */
class HdvMemory implements GuestMemory {
  readonly #host: VmDeviceHost;
  readonly #device: HDV_DEVICE;

  constructor(host: VmDeviceHost, device: HDV_DEVICE) {
    this.#host = host;
    this.#device = device;
  }

  read(gpa: number, into: Uint8Array): boolean {
    try {
      this.#host.HdvReadGuestMemory(this.#device, gpa, into.length, into);
      return true;
    } catch (error) {
      if (!(error instanceof HdvError)) throw error;
      into.fill(0xff);
      return false;
    }
  }

  write(gpa: number, from: Uint8Array): boolean {
    try {
      this.#host.HdvWriteGuestMemory(this.#device, gpa, from.length, from);
      return true;
    } catch (error) {
      if (!(error instanceof HdvError)) throw error;
      return false;
    }
  }

  aperture(
    gpa: number,
    length: number,
    { readOnly = false }: { readonly readOnly?: boolean } = {},
  ): Aperture | undefined {
    // Hyper-V maps whole pages, so whole pages are asked for everywhere.
    const start = gpa - (gpa % PAGE);
    const mapped = Math.ceil((gpa + length) / PAGE) * PAGE - start;
    if (!(length > 0 && mapped <= MAX_LENGTH)) return undefined;
    try {
      const whole = this.#host.HdvCreateGuestMemoryAperture(this.#device, start, mapped, readOnly);
      return new HdvAperture(this.#host, this.#device, whole, gpa, length);
    } catch (error) {
      if (!(error instanceof HdvError)) throw error;
      return undefined;
    }
  }
}

class HdvAperture implements Aperture {
  readonly gpa: number;
  readonly length: number;
  readonly #host: VmDeviceHost;
  readonly #device: HDV_DEVICE;
  #mapping: Buffer | undefined;
  #bytes: Buffer | undefined;

  constructor(
    host: VmDeviceHost,
    device: HDV_DEVICE,
    mapping: Buffer,
    gpa: number,
    length: number,
  ) {
    this.#host = host;
    this.#device = device;
    this.#mapping = mapping;
    this.gpa = gpa;
    this.length = length;
    this.#bytes = mapping.subarray(gpa % PAGE, (gpa % PAGE) + length);
  }

  get bytes(): Buffer {
    this.#bytes ??= Buffer.alloc(this.length);
    return this.#bytes;
  }

  [Symbol.dispose](): void {
    if (this.#mapping === undefined) return;
    const mapping = this.#mapping;
    this.#mapping = undefined;
    this.#bytes = undefined;
    try {
      this.#host.HdvDestroyGuestMemoryAperture(this.#device, mapping);
    } catch (error) {
      // The device host is gone and has reclaimed the mapping.
      if (!(error instanceof HdvError)) throw error;
    }
  }
}
