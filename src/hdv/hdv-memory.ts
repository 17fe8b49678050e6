import type { Aperture, GuestMemory } from '../device/services.ts';
import type { DevicePlatform } from './hdv-binding.ts';
import { HdvError } from './hdv-error.ts';
import type { HDV_DEVICE, VmDeviceHost } from './vm-device-host.ts';

const PAGE = 4096;
/** Longest that HDV copies or maps in one call: its counts have 32 bits. */
const MAX_LENGTH = 0xffff_ffff;

/**
 * Guest memory by HdvRead/WriteGuestMemory, and apertures. A restricted device host may not copy: there, copies go by
 * apertures too, and the device sees no difference.
 */
export class HdvMemory implements GuestMemory {
  readonly #host: VmDeviceHost;
  readonly #device: HDV_DEVICE;
  readonly #storesFault: boolean;
  #mayCopy = true;

  constructor(host: VmDeviceHost, device: HDV_DEVICE, { storesFault = false }: DevicePlatform) {
    this.#host = host;
    this.#device = device;
    this.#storesFault = storesFault;
  }

  read(gpa: number, into: Uint8Array): boolean {
    if (this.#mayCopy) {
      try {
        this.#host.HdvReadGuestMemory(this.#device, gpa, into.length, into);
        return true;
      } catch (error) {
        this.#refused(error);
      }
    }
    if (!this.#mayCopy) {
      using aperture = this.aperture(gpa, into.length, { readOnly: true });
      if (aperture !== undefined) {
        into.set(aperture.bytes);
        return true;
      }
    }
    into.fill(0xff);
    return false;
  }

  write(gpa: number, from: Uint8Array): boolean {
    if (this.#mayCopy) {
      try {
        this.#host.HdvWriteGuestMemory(this.#device, gpa, from.length, from);
        return true;
      } catch (error) {
        this.#refused(error);
      }
    }
    if (this.#mayCopy) return false;
    using aperture = this.aperture(gpa, from.length);
    aperture?.bytes.set(from);
    return aperture !== undefined;
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
    // A stray store must not end the process; and rings that are both read and written need one mapping less.
    const whole =
      (readOnly && this.#storesFault ? this.#map(start, mapped, false) : undefined) ??
      this.#map(start, mapped, readOnly);
    return whole && new HdvAperture(this.#host, this.#device, whole, gpa, length);
  }

  #map(start: number, length: number, writeProtected: boolean): Buffer | undefined {
    try {
      return this.#host.HdvCreateGuestMemoryAperture(this.#device, start, length, writeProtected);
    } catch (error) {
      if (!(error instanceof HdvError)) throw error;
      return undefined;
    }
  }

  /** A copy was refused: once and for all, where the device host may not copy. @throws what is no refusal */
  #refused(error: unknown): void {
    if (!(error instanceof HdvError)) throw error;
    if (error.code === 'E_ACCESSDENIED') this.#mayCopy = false;
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
