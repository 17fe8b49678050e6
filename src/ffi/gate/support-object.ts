import { koffi } from '../native-config.ts';
import type { WindowsSystem } from '../windows-system.ts';
import { SUPPORT } from './gate-layout.ts';
import { putAddress } from './gate-memory.ts';
import { gateProgram } from './gate-program.ts';
import { allocate } from './native-memory.ts';

/** What a {@link SupportObject} is made of. */
export interface SupportObjectOptions {
  /** IID of IVmDeviceHostSupport: the 16 bytes of a GUID in memory. */
  readonly interfaceId: Uint8Array;
  /** HCS_SYSTEM whose device host registers; stays open as long as the host. */
  readonly computeSystem: number;
  /** Address of HdvProxyDeviceHost. */
  readonly proxyDeviceHost: number;
}

/**
 * A COM object that implements IVmDeviceHostSupport: `proxyInterface` of HdvInitializeDeviceHostForProxy. It answers
 * RegisterDeviceHost by HdvProxyDeviceHost, on the thread that calls, without JavaScript. Its memory is never given
 * back, whatever its reference count.
 */
export class SupportObject {
  /** The COM pointer. */
  readonly address: number;
  readonly #words: Uint32Array<ArrayBuffer>;

  private constructor(system: WindowsSystem, options: SupportObjectOptions) {
    const { entry } = gateProgram(system);
    this.address = allocate(system, SUPPORT.size);
    const memory = koffi.view(BigInt(this.address), SUPPORT.size);
    const words = new Int32Array(memory);
    this.#words = new Uint32Array(memory);
    new Uint8Array(memory).set(options.interfaceId, SUPPORT.offset.interfaceId);
    putAddress(words, SUPPORT.offset.system / 4, options.computeSystem);
    putAddress(words, SUPPORT.offset.proxy / 4, options.proxyDeviceHost);
    const functions = [
      entry.gate_support_query_interface,
      entry.gate_support_add_ref,
      entry.gate_support_release,
      entry.gate_support_register,
    ];
    functions.forEach((address, i) => {
      putAddress(words, SUPPORT.offset.functions / 4 + 2 * i, address);
    });
    putAddress(words, SUPPORT.offset.vtable / 4, this.address + SUPPORT.offset.functions);
    words[SUPPORT.offset.references / 4] = 1;
  }

  /** Makes an object with one reference, the caller's. Not on a thread that may be ended. */
  static create(system: WindowsSystem, options: SupportObjectOptions): SupportObject {
    if (options.interfaceId.length !== 16) {
      throw new RangeError(`Cannot use ${options.interfaceId.length} bytes as a GUID: it has 16`);
    }
    return new SupportObject(system, options);
  }

  get references(): number {
    return Atomics.load(this.#words, SUPPORT.offset.references / 4);
  }

  /** How often RegisterDeviceHost was called and has returned. */
  get registrations(): number {
    return Atomics.load(this.#words, SUPPORT.offset.registrations / 4);
  }

  /** What HdvProxyDeviceHost returned in the last registration. */
  get registrationResult(): number {
    return Atomics.load(this.#words, SUPPORT.offset.hresult / 4);
  }

  /** The process that registered last. */
  get registeredProcess(): number {
    return Atomics.load(this.#words, SUPPORT.offset.processId / 4);
  }
}
