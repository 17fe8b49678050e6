import type { Width } from '../../device/mmio-region.ts';
import { Opcode } from '../../ffi/gate/gate-layout.ts';
import type { GateServer } from '../../ffi/gate/gate-server.ts';
import type { PciDetails, PciDeviceCallbacks } from '../../pci/device-callbacks.ts';

const S_OK = 0;
const E_FAIL = 0x8000_4005;
const E_INVALIDARG = 0x8007_0057;
const ALL_ONES = 0xffff_ffff;

/** A callback that Hyper-V can be told has failed. */
export type LifecycleCallback = 'Initialize' | 'SetConfiguration' | 'GetDetails' | 'Start';

/** A request that was taken, as a {@link GateServer} shows it. */
export type TakenRequest = Pick<
  GateServer,
  | 'opcode'
  | 'bar'
  | 'offset'
  | 'length'
  | 'count'
  | 'low'
  | 'high'
  | 'data'
  | 'answerData'
  | 'answer'
  | 'answerValue'
>;

/** What {@link GateRequests} needs. */
export interface GateRequestsOptions {
  readonly server: TakenRequest;
  readonly device: PciDeviceCallbacks;
  /** A lifecycle callback threw, and Hyper-V will get no more than a number. Called before it gets its answer. */
  readonly refused: (callback: LifecycleCallback, error: unknown) => void;
}

/**
 * Turns requests of a gate into callbacks of a device. Accesses never fail: nobody knows what Hyper-V would do to a
 * guest whose access did. A lifecycle callback that throws is a failing HRESULT.
 */
export class GateRequests {
  readonly #server: TakenRequest;
  readonly #device: PciDeviceCallbacks;
  readonly #refused: GateRequestsOptions['refused'];
  /** Configuration strings, of which pieces have come. */
  #strings: string[] = [];

  constructor({ server, device, refused }: GateRequestsOptions) {
    this.#server = server;
    this.#device = device;
    this.#refused = refused;
  }

  /** Serves the request that the server has taken. */
  serve(): void {
    const server = this.#server;
    switch (server.opcode) {
      case Opcode.READ_INTERCEPTED_MEMORY:
        this.#readMemory();
        break;
      case Opcode.WRITE_INTERCEPTED_MEMORY:
        this.#writeMemory();
        server.answer(S_OK);
        break;
      case Opcode.READ_CONFIG_SPACE:
        server.answerValue(this.#readConfig(), 0);
        break;
      case Opcode.WRITE_CONFIG_SPACE:
        if (server.offset % 4 === 0) this.#device.writeConfigSpace(server.offset, server.low);
        server.answer(S_OK);
        break;
      default:
        server.answer(this.#lifecycle(server.opcode));
    }
  }

  #readConfig(): number {
    const { offset } = this.#server;
    return offset % 4 === 0 ? this.#device.readConfigSpace(offset) : ALL_ONES;
  }

  #readMemory(): void {
    const server = this.#server;
    const { bar, offset, length } = server;
    if (length === 4 || length === 2 || length === 1) {
      server.answerValue(this.#device.readInterceptedMemory(bar, offset, length), 0);
    } else if (length === 8) {
      const low = this.#device.readInterceptedMemory(bar, offset, 4);
      server.answerValue(low, this.#device.readInterceptedMemory(bar, offset + 4, 4));
    } else {
      const { answerData } = server;
      const view = new DataView(answerData.buffer, answerData.byteOffset, length);
      for (let at = 0; at < length; ) {
        const width = widthAt(offset + at, length - at);
        const value = this.#device.readInterceptedMemory(bar, offset + at, width);
        if (width === 4) view.setUint32(at, value, true);
        else if (width === 2) view.setUint16(at, value, true);
        else view.setUint8(at, value);
        at += width;
      }
      server.answer(S_OK);
    }
  }

  #writeMemory(): void {
    const server = this.#server;
    const { bar, offset, length } = server;
    if (length === 4 || length === 2 || length === 1) {
      this.#device.writeInterceptedMemory(bar, offset, length, server.low);
    } else if (length === 8) {
      const { low, high } = server;
      this.#device.writeInterceptedMemory(bar, offset, 4, low);
      this.#device.writeInterceptedMemory(bar, offset + 4, 4, high);
    } else {
      const { data } = server;
      const view = new DataView(data.buffer, data.byteOffset, length);
      for (let at = 0; at < length; ) {
        const width = widthAt(offset + at, length - at);
        const value =
          width === 4
            ? view.getUint32(at, true)
            : width === 2
              ? view.getUint16(at, true)
              : view.getUint8(at);
        this.#device.writeInterceptedMemory(bar, offset + at, width, value);
        at += width;
      }
    }
  }

  #lifecycle(opcode: number): number {
    const device = this.#device;
    switch (opcode) {
      case Opcode.INITIALIZE:
        return this.#demand('Initialize', () => device.initialize());
      case Opcode.CONFIGURATION_TEXT:
        this.#collectText();
        return S_OK;
      case Opcode.SET_CONFIGURATION: {
        const { count } = this.#server;
        const strings = this.#strings.slice(0, count);
        this.#strings = [];
        return this.#demand('SetConfiguration', () => device.setConfiguration(strings));
      }
      case Opcode.GET_DETAILS:
        return this.#demand('GetDetails', () => this.#writeDetails(device.getDetails()));
      case Opcode.START:
        return this.#demand('Start', () => device.start());
      case Opcode.STOP:
        device.stop();
        return S_OK;
      case Opcode.TEARDOWN:
        device.teardown();
        return S_OK;
      default:
        return E_INVALIDARG;
    }
  }

  #demand(callback: LifecycleCallback, call: () => void): number {
    try {
      call();
      return S_OK;
    } catch (error) {
      this.#refused(callback, error);
      return hresultOf(error);
    }
  }

  #collectText(): void {
    const { count: index, data, length, offset } = this.#server;
    if (index === 0 && offset === 0) this.#strings = [];
    const piece = Buffer.from(data.buffer, data.byteOffset, length).toString('utf16le');
    this.#strings[index] = (this.#strings[index] ?? '') + piece;
  }

  /** HDV_PCI_PNP_ID, then a word per BAR. */
  #writeDetails({ pnpId, probedBars }: PciDetails): void {
    const { answerData, count } = this.#server;
    const view = new DataView(answerData.buffer, answerData.byteOffset, answerData.length);
    view.setUint16(0, pnpId.vendorId, true);
    view.setUint16(2, pnpId.deviceId, true);
    view.setUint8(4, pnpId.revisionId);
    view.setUint8(5, pnpId.progIf);
    view.setUint8(6, pnpId.subClass);
    view.setUint8(7, pnpId.baseClass);
    view.setUint16(8, pnpId.subVendorId, true);
    view.setUint16(10, pnpId.subSystemId, true);
    for (let slot = 0; slot < count && 16 + 4 * slot <= view.byteLength; slot++) {
      view.setUint32(12 + 4 * slot, probedBars[slot] ?? 0, true);
    }
  }
}

/** Widest access that is aligned, and not longer than what is left. */
function widthAt(offset: number, left: number): Width {
  if (left >= 4 && offset % 4 === 0) return 4;
  return left >= 2 && offset % 2 === 0 ? 2 : 1;
}

function hresultOf(error: unknown): number {
  const given = (error as { readonly hresult?: unknown } | null)?.hresult;
  if (typeof given === 'number' && given >>> 31 === 1) return given >>> 0;
  return error instanceof RangeError || error instanceof TypeError ? E_INVALIDARG : E_FAIL;
}
