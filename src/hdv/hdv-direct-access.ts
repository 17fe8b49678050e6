import { NotSupportedError } from '../ffi/native-library-error.ts';
import type { DoorbellShape, FunctionShape } from '../pci/device-callbacks.ts';
import type { BarMemory } from '../pci/host.ts';
import type { DevicePlatform, DoorbellEvent, Section } from './hdv-binding.ts';
import {
  HDV_DOORBELL_FLAGS,
  HDV_MMIO_MAPPING_FLAGS,
  type HDV_PCI_BAR_SELECTOR,
} from './hdv-constants.ts';
import { HdvError } from './hdv-error.ts';
import type { HDV_DEVICE, VmDeviceHost } from './vm-device-host.ts';

const PAGE = 4096;

/** Writes of any width and any value. */
const ANY_WRITE =
  HDV_DOORBELL_FLAGS.HDV_DOORBELL_FLAG_TRIGGER_SIZE_ANY |
  HDV_DOORBELL_FLAGS.HDV_DOORBELL_FLAG_TRIGGER_ANY_VALUE;
/** As an unsigned number: the bit is bit 31. */
const FLAGS = ANY_WRITE >>> 0;
const WRITEABLE = HDV_MMIO_MAPPING_FLAGS.HdvMmioMappingFlagWriteable;

/** Doorbells and mapped pages of one device, by Hdv functions. Where they are refused, accesses are intercepted. */
export class HdvDirectAccess {
  readonly #host: VmDeviceHost;
  readonly #device: HDV_DEVICE;
  readonly #platform: DevicePlatform;

  constructor(host: VmDeviceHost, device: HDV_DEVICE, platform: DevicePlatform) {
    this.#host = host;
    this.#device = device;
    this.#platform = platform;
  }

  watchDoorbells(row: DoorbellShape, ring: (index: number) => void): Disposable {
    const bar = row.bar as HDV_PCI_BAR_SELECTOR;
    const offsetOf = (index: number): number => row.offset + index * row.stride;
    const events: DoorbellEvent[] = [];
    let isOpen = true;
    this.#afterThis(() => {
      for (let index = 0; isOpen && index < row.count; index++) {
        const ringThis = (): void => {
          if (isOpen) ring(index);
        };
        const event = this.#platform.doorbellEvent?.(this.#device, ringThis);
        if (event === undefined) return;
        const register = (): void =>
          this.#host.HdvRegisterDoorbell(
            this.#device,
            bar,
            offsetOf(index),
            0n,
            FLAGS,
            event.handle,
          );
        if (!isGranted(register)) {
          event[Symbol.dispose]();
          return;
        }
        events.push(event);
      }
    });
    return {
      [Symbol.dispose]: () => {
        isOpen = false;
        for (const [index, event] of events.entries()) {
          isGranted(() =>
            this.#host.HdvUnregisterDoorbell(this.#device, bar, offsetOf(index), 0n, FLAGS),
          );
          event[Symbol.dispose]();
        }
        events.length = 0;
      },
    };
  }

  barMemory(size: number, bar: number, offset: number): BarMemory | undefined {
    const place = { requestor: this.#device, bar, offset };
    const section = this.#platform.section?.(size, place);
    if (section === undefined) return undefined;
    return {
      bytes: section.bytes,
      show: (slot, at) => this.#show(section, slot as HDV_PCI_BAR_SELECTOR, at / PAGE, size),
      [Symbol.dispose]: () => section[Symbol.dispose](),
    };
  }

  /**
   * Runs once Start has been answered, which the function is in the middle of: what is asked of Hyper-V's worker
   * process before then may find a device that it does not know yet.
   */
  #afterThis(run: () => void): void {
    if (this.#platform.knowsDeviceInStart === true) run();
    else setImmediate(run);
  }

  #show(section: Section, bar: HDV_PCI_BAR_SELECTOR, page: number, size: number): Disposable {
    let isOpen = true;
    let isMapped = false;
    this.#afterThis(() => {
      isMapped =
        isOpen &&
        isGranted(() =>
          this.#host.HdvCreateSectionBackedMmioRange(
            this.#device,
            bar,
            page,
            size / PAGE,
            WRITEABLE,
            section.handle,
            section.offsetInPages ?? 0,
          ),
        );
    });
    return {
      [Symbol.dispose]: () => {
        isOpen = false;
        if (!isMapped) return;
        isMapped = false;
        isGranted(() => this.#host.HdvDestroySectionBackedMmioRange(this.#device, bar, page));
      },
    };
  }
}

/**
 * Takes out of a machine what a device's thread has left there when it died: the guest's accesses are intercepted from
 * then on. For the thread that supervises it.
 */
export function withdrawDirectAccess(
  host: VmDeviceHost,
  device: HDV_DEVICE,
  { doorbells, mapped }: FunctionShape,
): void {
  for (const { bar, offset } of mapped) {
    const slot = bar as HDV_PCI_BAR_SELECTOR;
    isGranted(() => host.HdvDestroySectionBackedMmioRange(device, slot, offset / PAGE));
  }
  for (const { bar, offset, count, stride } of doorbells) {
    const slot = bar as HDV_PCI_BAR_SELECTOR;
    for (let index = 0; index < count; index++) {
      const at = offset + index * stride;
      if (!isGranted(() => host.HdvUnregisterDoorbell(device, slot, at, 0n, FLAGS))) break;
    }
  }
}

/** @returns whether HDV did it; a refusal costs time, not correctness */
function isGranted(call: () => void): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (error instanceof HdvError || error instanceof NotSupportedError) return false;
    throw error;
  }
}
