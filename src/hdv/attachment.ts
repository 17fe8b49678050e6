import type { FunctionShape } from '../pci/device-callbacks.ts';
import type { PciFunction } from '../pci/pci-function.ts';
import type { Placement } from './host-capabilities.ts';
import type { GUID } from './vm-device-host.ts';

/** A device that a {@link DeviceHost} has attached. */
export interface Attachment {
  /** Name of the device class. */
  readonly name: string;
  /** Key of its FlexibleIov entry. */
  readonly instanceId: GUID;
  /** EmulatorId of its FlexibleIov entry. */
  readonly classId: GUID;
  readonly placement: Placement;
  /** Strings for the device's `configure`. */
  readonly configuration: readonly string[];
  /** What it shows to a guest. Another one after a restart, when the module has changed. */
  readonly shape: FunctionShape;
  /** The error that stopped the device; it answers as if unplugged since. */
  readonly failure: Error | undefined;
  /** Mistakes of the guest that the device has reported. */
  readonly guestErrors: number;
  /** The function of a device that runs on this thread, to be observed. */
  readonly function: PciFunction | undefined;
}

/**
 * Something that an attached device reports. `failed` with an {@link Attachment.failure} stops the device; without one
 * it says why a device of the create document refused to come up, where the start of the system has a number only.
 */
export type DeviceNotice =
  | {
      readonly type: 'guestError';
      readonly attachment: Attachment;
      readonly text: string;
      /** How many there were so far; texts are rate-limited, the count is not. */
      readonly count: number;
    }
  | { readonly type: 'failed'; readonly attachment: Attachment; readonly error: Error }
  /** A device that failed was restarted by itself, as it was attached to be. */
  | {
      readonly type: 'restarted';
      readonly attachment: Attachment;
      /** Restarts within the last minute. */
      readonly count: number;
    }
  /** A device that failed is not restarted again: it failed too often, or could not be. */
  | { readonly type: 'givenUp'; readonly attachment: Attachment; readonly error: Error };
