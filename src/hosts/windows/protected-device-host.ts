import {
  NativeVmDeviceHost,
  type NativeVmDeviceHostOptions,
} from '../../hdv/native/native-vm-device-host.ts';
import type { HDV_DEVICE } from '../../hdv/vm-device-host.ts';
import type { ControlBlock } from '../../transport/control-block.ts';

/** `VmDeviceHost` on a thread that may be ended at any time, except while native code makes objects. */
export class ProtectedDeviceHost extends NativeVmDeviceHost {
  readonly #control: ControlBlock;

  constructor(control: ControlBlock, options: NativeVmDeviceHostOptions) {
    super(options);
    this.#control = control;
  }

  override HdvCreateGuestMemoryAperture(
    requestor: HDV_DEVICE,
    guestPhysicalAddress: number,
    byteCount: number,
    writeProtected: boolean,
  ): Buffer {
    return this.#control.protect(() =>
      super.HdvCreateGuestMemoryAperture(
        requestor,
        guestPhysicalAddress,
        byteCount,
        writeProtected,
      ),
    );
  }
}
