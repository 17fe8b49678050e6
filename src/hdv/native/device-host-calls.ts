import type { VmDeviceHostFunction } from '../vm-device-host.ts';

/** The functions that HDV ties to one thread: a device host is torn down where it was initialized. */
export type DeviceHostFunction = Extract<
  VmDeviceHostFunction,
  | 'HdvInitializeDeviceHost'
  | 'HdvInitializeDeviceHostEx'
  | 'HdvInitializeDeviceHostForProxy'
  | 'HdvInitializeDeviceHostForProxyEx'
  | 'HdvTeardownDeviceHost'
>;

/** Calls those functions on their thread, which may wait as long as they take. */
export interface DeviceHostCalls {
  /**
   * @param parameters as in C, without the out-parameter: handles and pointers as bigint, a GUID as its 16 bytes
   * @returns the HRESULT, unsigned, and the HDV_HOST of a function that has one
   * @throws NotSupportedError (by name) when the library does not export the function
   */
  call(
    name: DeviceHostFunction,
    parameters: readonly (bigint | number | Uint8Array)[],
  ): Promise<DeviceHostResult>;
}

/** What a {@link DeviceHostCalls.call} resolves to. */
export interface DeviceHostResult {
  readonly hresult: number;
  /** 0n where it failed, or the function has none. */
  readonly host: bigint;
}
