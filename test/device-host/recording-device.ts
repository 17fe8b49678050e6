import type { PciDetails, PciDeviceCallbacks } from '../../src/pci/device-callbacks.ts';

/** A device at the level of the ten callbacks: one 4 KiB BAR of plain storage, and a record of what was called. */
export class RecordingDevice implements PciDeviceCallbacks {
  readonly calls: string[] = [];
  readonly storage = Buffer.alloc(4096);
  readonly config = new Uint32Array(64);
  /** Name of a callback that throws. */
  failing: string | undefined;

  constructor() {
    this.config[0] = 0xbeef_1234;
    this.config[2] = 0xff_0000_01;
  }

  initialize(): void {
    this.#call('initialize');
  }

  teardown(): void {
    this.#call('teardown');
  }

  setConfiguration(values: readonly string[]): void {
    this.#call(`setConfiguration ${values.join(',')}`);
  }

  getDetails(): PciDetails {
    this.#call('getDetails');
    return {
      pnpId: {
        vendorId: 0x1234,
        deviceId: 0xbeef,
        revisionId: 1,
        progIf: 0,
        subClass: 0,
        baseClass: 0xff,
        subVendorId: 0,
        subSystemId: 0,
      },
      probedBars: [0xffff_f000, 0, 0, 0, 0, 0],
    };
  }

  start(): void {
    this.#call('start');
  }

  stop(): void {
    this.#call('stop');
  }

  readConfigSpace(offset: number): number {
    return this.config[offset >> 2] ?? 0;
  }

  writeConfigSpace(offset: number, value: number): void {
    if (offset === 0x04) this.config[1] = value & 0x7;
    if (offset === 0x10) this.config[4] = value & 0xffff_f000;
  }

  readInterceptedMemory(_bar: number, offset: number, width: 1 | 2 | 4): number {
    return this.storage.readUIntLE(offset, width);
  }

  writeInterceptedMemory(_bar: number, offset: number, width: 1 | 2 | 4, value: number): void {
    this.storage.writeUIntLE(value, offset, width);
  }

  #call(text: string): void {
    this.calls.push(text);
    if (this.failing !== undefined && text.startsWith(this.failing)) {
      throw new Error(`${this.failing} fails`);
    }
  }
}
