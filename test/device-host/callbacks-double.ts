import type { PciDetails, PciDeviceCallbacks } from '../../src/pci/device-callbacks.ts';

/** HDV's ten callbacks over plain memory, as someone who does not use `PciDevice` would write them. */
export class CallbacksDouble implements PciDeviceCallbacks {
  readonly calls: string[] = [];
  readonly config = new DataView(new ArrayBuffer(256));
  readonly memory = new Map<string, number>();
  readonly #probedBars: readonly number[];

  constructor(probedBars: readonly number[]) {
    this.#probedBars = probedBars;
  }

  initialize(): void {
    this.calls.push('initialize');
  }

  teardown(): void {
    this.calls.push('teardown');
  }

  setConfiguration(values: readonly string[]): void {
    this.calls.push(`setConfiguration ${values.join(',')}`);
  }

  getDetails(): PciDetails {
    const pnpId = {
      vendorId: 0x1234,
      deviceId: 0x5678,
      revisionId: 1,
      progIf: 0,
      subClass: 0,
      baseClass: 0xff,
      subVendorId: 0,
      subSystemId: 0,
    };
    return { pnpId, probedBars: this.#probedBars };
  }

  start(): void {
    this.calls.push('start');
  }

  stop(): void {
    this.calls.push('stop');
  }

  readConfigSpace(offset: number): number {
    return this.config.getUint32(offset, true);
  }

  writeConfigSpace(offset: number, value: number): void {
    this.config.setUint32(offset, value, true);
  }

  readInterceptedMemory(bar: number, offset: number): number {
    return this.memory.get(`${bar}:${offset}`) ?? 0;
  }

  writeInterceptedMemory(bar: number, offset: number, _width: number, value: number): void {
    this.memory.set(`${bar}:${offset}`, value);
  }
}

/** Writes a capability list: each at its offset, with its first dword's upper half and the dwords after it. */
export function capabilities(
  config: DataView,
  list: readonly {
    readonly at: number;
    readonly id: number;
    readonly control: number;
    readonly dwords?: readonly number[];
  }[],
): void {
  config.setUint16(0x06, 0x10, true);
  config.setUint8(0x34, list[0]?.at ?? 0);
  for (const [index, { at, id, control, dwords = [] }] of list.entries()) {
    config.setUint8(at, id);
    config.setUint8(at + 1, list[index + 1]?.at ?? 0);
    config.setUint16(at + 2, control, true);
    for (const [i, value] of dwords.entries()) config.setUint32(at + 4 + 4 * i, value, true);
  }
}
