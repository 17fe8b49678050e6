import type { GuestMemory } from '../device/services.ts';
import type { HANDLE, HCS_SYSTEM } from '../hcs/core/handles.ts';
import type { GUID, HDV_DEVICE, HdvDeviceInterface } from '../hdv/vm-device-host.ts';
import type { DirectMemory, DirectTable } from '../pci/direct-table.ts';
import type { OpenEvent } from './local-events.ts';

/** A device instance of a {@link LocalDeviceHost} whose callbacks are in this thread. */
export interface LocalInstance {
  readonly device: HDV_DEVICE;
  readonly systemId: string;
  readonly classId: GUID;
  readonly instanceId: GUID;
  readonly interface: HdvDeviceInterface;
  /** What whoever carries the guest's accesses serves without the callbacks. */
  readonly direct: DirectTable;
  /** Runs Start, when the device does not run. */
  start(): void;
  /** Runs Stop, when the device runs. */
  stop(): void;
}

/** A section in use by a mapped range. Disposal ends the use, not the section. */
export interface OpenSection extends Disposable {
  readonly memory: Omit<DirectMemory, 'writable'>;
}

/** What a {@link LocalDeviceHost} needs of the platform it stands on. */
export interface LocalPlatform {
  /** Id of the compute system, not ended, behind an open handle of this process, or undefined. */
  systemIdOf(computeSystem: HCS_SYSTEM): string | undefined;
  /**
   * Makes an instance reachable for the engine, after Initialize, SetConfiguration and GetDetails.
   * @returns what the engine of this platform connects to
   */
  connect(instance: LocalInstance): Promise<unknown>;
  /** Undoes {@link LocalPlatform.connect}, before Teardown. */
  disconnect(instance: LocalInstance): Promise<void>;
  /** Memory of the instance's machine; undefined when it has none at the moment. */
  memory(instance: LocalInstance): GuestMemory | undefined;
  /** Sends one message-signalled interrupt; a lost one is the platform's to report. */
  deliverInterrupt(instance: LocalInstance, address: number, data: number): void;
  /** Bytes of the widest write that a guest can make in one access. */
  readonly widestWrite: 4 | 8;
  /** The event of a handle; undefined when it is none of this platform's. */
  openEvent(handle: HANDLE): OpenEvent | undefined;
  /** Part of the section of a handle, in bytes; undefined when it is none of this platform's, or shorter. */
  openSection(
    instance: LocalInstance,
    handle: HANDLE,
    offset: number,
    length: number,
  ): OpenSection | undefined;
  /** Has somebody mapped a range who keeps it as long as the device is in the machine? Default: nobody. */
  isHeld?(instance: LocalInstance, bar: number, offset: number): boolean;
}
