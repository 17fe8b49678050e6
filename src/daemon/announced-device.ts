import type { DeviceEndpoint, DeviceKey } from '../compute/device-directory.ts';
import { idsOf } from '../compute/system-id.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT } from '../hcs/hresult.ts';
import type { Link, LinkListener } from './link.ts';

const NAME = 'HdvCreateDeviceInstance';

/** A handle that nobody listens to. */
const SILENT: LinkListener = { event: () => {}, ended: () => {}, disconnected: () => {} };

/**
 * A device of this process, announced to a service. The machine that has it is connected to this process and not to the
 * service: when that has ended the device goes on, and is announced to the next one.
 */
export class AnnouncedDevice {
  readonly key: DeviceKey;
  readonly #endpoint: DeviceEndpoint;
  #isOn = false;
  /** The last change of power, which one service may have asked for and another one has to know. */
  #power: Promise<unknown> = Promise.resolve();
  #on: { readonly link: Link; readonly device: number; readonly handle?: number } | undefined;
  /** The announcement to the service that follows, while there is one under way. */
  #announcing: Promise<unknown> = Promise.resolve();

  constructor(key: DeviceKey, endpoint: DeviceEndpoint) {
    this.key = key;
    this.#endpoint = {
      powerOn: (configuration) =>
        this.#switch(async () => {
          const connection = await endpoint.powerOn(configuration);
          this.#isOn = true;
          return connection;
        }),
      powerOff: () =>
        this.#switch(async () => {
          this.#isOn = false;
          await endpoint.powerOff();
        }),
      get failure() {
        return endpoint.failure;
      },
    };
  }

  /** Whether it is in a machine, as far as this process knows. */
  get isOn(): boolean {
    return this.#isOn;
  }

  /** Whether a connection has it. */
  isOnLink(link: Link): boolean {
    return this.#on?.link === link;
  }

  /** @throws HcsError ERROR_ALREADY_EXISTS; ERROR_INVALID_HANDLE without an open handle of the system */
  async announce(link: Link): Promise<void> {
    await this.#announce(link, false);
  }

  /**
   * Announces it to a service that knows nothing of this process yet.
   * @returns whether there is a machine for it; otherwise it is off
   * @throws HcsError
   */
  announceAgain(link: Link): Promise<boolean> {
    const announced = this.#announceAgain(link);
    this.#announcing = announced.catch(() => {});
    return announced;
  }

  async #announceAgain(link: Link): Promise<boolean> {
    await this.#power.catch(() => {});
    const handle = link.openHandle(SILENT);
    try {
      // How one has ended is for somebody else to hear.
      const params = { handle, function: NAME, ...idsOf(this.key.systemId), hasNotEnded: true };
      await link.request(NAME, 'open', params);
      await this.#announce(link, this.#isOn, handle);
      return true;
    } catch (error) {
      await close(link, handle);
      if (!(error instanceof HcsError) || error.hresult !== HRESULT.HCS_E_SYSTEM_NOT_FOUND) {
        throw error;
      }
      await this.powerOff();
      return false;
    }
  }

  /** Takes it out of the directory of the service, also of one that it is just being announced to. */
  async withdraw(): Promise<void> {
    await this.#announcing;
    const { link, device, handle } = this.#on ?? {};
    this.#on = undefined;
    // When the connection has ended, so has the entry.
    if (link === undefined || link.isOver || device === undefined) return;
    await link.request(NAME, 'withdraw', { device }).catch(() => {});
    link.closeDevice(device);
    if (handle !== undefined) await close(link, handle);
  }

  /** Its machine is gone with the service that it was asked by. */
  async powerOff(): Promise<void> {
    if (this.#isOn) await this.#endpoint.powerOff();
  }

  async #announce(link: Link, isOn: boolean, handle?: number): Promise<void> {
    const device = link.openDevice(this.#endpoint);
    try {
      const params = { device, ...this.key, ...(isOn ? { isOn } : {}) };
      await link.request(NAME, 'announce', params);
    } catch (error) {
      link.closeDevice(device);
      throw error;
    }
    this.#on = { link, device, ...(handle === undefined ? {} : { handle }) };
  }

  #switch<T>(change: () => Promise<T>): Promise<T> {
    const changed = change();
    this.#power = changed.catch(() => {});
    return changed;
  }
}

async function close(link: Link, handle: number): Promise<void> {
  link.closeHandle(handle);
  if (!link.isOver) await link.request(NAME, 'close', { handle }).catch(() => {});
}
