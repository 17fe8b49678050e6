import { setTimeout as delay } from 'node:timers/promises';
import type { DeviceKey } from '../compute/device-directory.ts';
import type { AnnouncedDevice } from './announced-device.ts';
import type { Link } from './link.ts';

/** What became of a device once the service that it was announced to had gone. */
export type DeviceNews = { readonly key: DeviceKey } & (
  | { readonly type: 'announced' }
  /** The service that follows has no such system; the device is off. */
  | { readonly type: 'forgotten' }
  /** The service that follows does not take it. */
  | { readonly type: 'givenUp'; readonly error: Error }
);

/** Attempts to announce a device again before it is given up. */
const MOST_ATTEMPTS = 50;
const PAUSE_MS = 100;

/** The devices that this process has announced to a service. */
export class AnnouncedDevices {
  readonly #devices = new Set<AnnouncedDevice>();
  readonly #tell: (news: DeviceNews) => void;

  constructor(tell: (news: DeviceNews) => void = warn) {
    this.#tell = tell;
  }

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
    const without = [...this.#devices].filter((device) => !device.isOnLink(link));
    await Promise.all(without.map((device) => this.#announce(device, link)));
  }

  async #announce(device: AnnouncedDevice, link: Link): Promise<void> {
    const { key } = device;
    let last: unknown;
    for (let i = 0; i < MOST_ATTEMPTS && !link.isOver && this.#devices.has(device); i++) {
      try {
        const hasMachine = await device.announceAgain(link);
        if (!hasMachine) this.#devices.delete(device);
        else if (!this.#devices.has(device)) return await device.withdraw();
        this.#tell({ type: hasMachine ? 'announced' : 'forgotten', key });
        return;
      } catch (error) {
        // Somebody else may have its instance id for a moment. When the connection has ended there will be another one.
        last = error;
        await delay(PAUSE_MS, undefined, { ref: false });
      }
    }
    if (link.isOver || !this.#devices.has(device)) return;
    const { instanceId, systemId } = key;
    const reason = last instanceof Error ? last.message : String(last);
    const message = `Cannot announce device ${instanceId} of ${systemId} to the service that follows: ${reason}; take it out and attach it again`;
    this.#tell({ type: 'givenUp', key, error: new Error(message, { cause: last }) });
  }
}

/** The default: what nobody else hears of is a warning of the process. */
function warn(news: DeviceNews): void {
  if (news.type === 'givenUp') process.emitWarning(news.error);
}
