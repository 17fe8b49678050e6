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
}

interface Key {
  readonly systemId: string;
  readonly classId: string;
  readonly instanceId: string;
}

/** Device instances that device hosts have announced, by system, class and instance id (GUIDs compare without case). */
export class DeviceDirectory {
  readonly #endpoints = new Map<string, DeviceEndpoint>();

  /** @returns a function that takes the entry out again
   * @throws RangeError when the system already has an instance with this id */
  register(key: Key, endpoint: DeviceEndpoint): () => void {
    const text = keyText(key);
    const prefix = keyText({ ...key, classId: '' });
    for (const known of this.#endpoints.keys()) {
      const [system, , instance] = known.split('\n');
      if (`${system}\n\n${instance}` === prefix) {
        throw new RangeError(
          `Cannot announce device instance ${key.instanceId} for system ${key.systemId}: the id is taken; give each device an instance id of its own`,
        );
      }
    }
    this.#endpoints.set(text, endpoint);
    return () => {
      if (this.#endpoints.get(text) === endpoint) this.#endpoints.delete(text);
    };
  }

  /** The endpoint announced for a FlexibleIov entry, or undefined when no device host has it. */
  find(key: Key): DeviceEndpoint | undefined {
    return this.#endpoints.get(keyText(key));
  }
}

function keyText({ systemId, classId, instanceId }: Key): string {
  return `${systemId}\n${classId.toLowerCase()}\n${instanceId.toLowerCase()}`;
}
