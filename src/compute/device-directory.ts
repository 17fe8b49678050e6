/**
 * What a device host keeps behind (system, class, instance), and how an engine gets at it. The service passes it on
 * unread; engine and device host of one platform agree on what `powerOn` resolves to.
 */
export interface DeviceEndpoint {
  /**
   * Makes the device ready for its machine: Initialize and SetConfiguration have run when this resolves.
   * @returns what the engine connects to: `{ kind: 'function', function }` or
   * `{ kind: 'vfio-user', socketPath, msix }`
   * @throws HcsError when the device refuses its configuration or has failed
   */
  powerOn(configuration: readonly string[]): Promise<unknown>;
  /** The machine has let go of the device: Stop and Teardown run. Safe to call twice. */
  powerOff(): Promise<void>;
  /**
   * Why the device has failed, once it has: what its machine says of it then is only a consequence. A promise where the
   * device is in another process; it never rejects.
   */
  readonly failure?: Error | undefined | Promise<Error | undefined>;
}

/** What a device instance is found by. */
export interface DeviceKey {
  readonly systemId: string;
  readonly classId: string;
  readonly instanceId: string;
}

/** Takes an entry out again. */
export type Withdraw = () => void | Promise<void>;

/** Where device hosts announce device instances: the directory, or the way to one in another process. */
export interface DeviceRegistry {
  /** @throws RangeError when the system already has an instance with this id; HcsError of a service elsewhere */
  register(key: DeviceKey, endpoint: DeviceEndpoint): Withdraw | Promise<Withdraw>;
}

interface Announcement {
  readonly classId: string;
  readonly endpoint: DeviceEndpoint;
}

/** Device instances that device hosts have announced, by system, class and instance id (GUIDs compare without case). */
export class DeviceDirectory implements DeviceRegistry {
  /** By system id, then by instance id. */
  readonly #systems = new Map<string, Map<string, Announcement>>();

  /** @returns a function that takes the entry out again
   * @throws RangeError when the system already has an instance with this id */
  register({ systemId, classId, instanceId }: DeviceKey, endpoint: DeviceEndpoint): () => void {
    const instances = this.#systems.get(systemId) ?? new Map<string, Announcement>();
    const key = instanceId.toLowerCase();
    if (instances.has(key)) {
      throw new RangeError(
        `Cannot announce device instance ${instanceId} for system ${systemId}: the id is taken; give each device an instance id of its own`,
      );
    }
    const announcement = { classId: classId.toLowerCase(), endpoint };
    instances.set(key, announcement);
    this.#systems.set(systemId, instances);
    return () => {
      if (instances.get(key) !== announcement) return;
      instances.delete(key);
      if (instances.size === 0 && this.#systems.get(systemId) === instances) {
        this.#systems.delete(systemId);
      }
    };
  }

  /** Takes out all instances of a system that has ended: a successor with its id has none of them. */
  forget(systemId: string): void {
    this.#systems.delete(systemId);
  }

  /** The endpoint announced for a FlexibleIov entry, or undefined when no device host has it. */
  find({ systemId, classId, instanceId }: DeviceKey): DeviceEndpoint | undefined {
    const found = this.#systems.get(systemId)?.get(instanceId.toLowerCase());
    return found?.classId === classId.toLowerCase() ? found.endpoint : undefined;
  }
}
