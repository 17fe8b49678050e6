import type { GuestMemory } from '../device/services.ts';
import type { HCS_SYSTEM } from '../hcs/core/handles.ts';
import type { GUID, HDV_DEVICE, HdvDeviceInterface } from '../hdv/vm-device-host.ts';

/** A device instance of a {@link LocalDeviceHost} whose callbacks are in this thread. */
export interface LocalInstance {
  readonly device: HDV_DEVICE;
  readonly systemId: string;
  readonly classId: GUID;
  readonly instanceId: GUID;
  readonly interface: HdvDeviceInterface;
  /** Runs Start, when the device does not run. */
  start(): void;
  /** Runs Stop, when the device runs. */
  stop(): void;
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
}
