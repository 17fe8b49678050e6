import { setTimeout as delay } from 'node:timers/promises';
import type { AnnouncedDevice } from './announced-device.ts';
import type { Link } from './link.ts';

/** Attempts to announce a device again before it is given up. */
const MOST_ATTEMPTS = 50;
const PAUSE_MS = 100;

/** The devices that this process has announced to a service. */
export class AnnouncedDevices {
  readonly #devices = new Set<AnnouncedDevice>();

  add(device: AnnouncedDevice): void {
    this.#devices.add(device);
  }

  delete(device: AnnouncedDevice): void {
    this.#devices.delete(device);
  }

  get isEmpty(): boolean {
    return this.#devices.size === 0;
  }

  /** Whether the guest of a machine waits for one of them. */
  get areNeeded(): boolean {
    return [...this.#devices].some(({ isOn }) => isOn);
  }

  /** Announces those that an earlier connection had. */
  async announceAgain(link: Link): Promise<void> {
    for (const device of this.#devices) {
      if (!device.isOnLink(link)) await this.#announce(device, link);
    }
  }

  async #announce(device: AnnouncedDevice, link: Link): Promise<void> {
    for (let i = 0; i < MOST_ATTEMPTS && !link.isOver; i++) {
      try {
        if (!(await device.announceAgain(link))) this.#devices.delete(device);
        else if (!this.#devices.has(device)) await device.withdraw();
        return;
      } catch {
        // Somebody else may have its instance id for a moment. When the connection has ended there will be another one.
        await delay(PAUSE_MS, undefined, { ref: false });
      }
    }
  }
}
