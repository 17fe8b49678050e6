import type { DeviceEndpoint, Withdraw } from '../compute/device-directory.ts';
import { failure } from '../compute/failure.ts';
import type { Channel } from './channel.ts';
import { decodeFailure } from './wire-failure.ts';

const NAME = 'HdvCreateDeviceInstance';

/** Milliseconds that a process may take to let go of a device whose machine has; it is told in any case. */
const POWER_OFF_LIMIT_MS = 5000;

/** A device in the process of a client, as the daemon's directory of device hosts has it. */
export class RemoteDevice implements DeviceEndpoint {
  readonly #channel: Channel;
  readonly #device: number;
  #isOn: boolean;
  /** Takes the entry out of the directory. */
  withdraw: Withdraw = () => {};

  /** @param isOn whether it is in a machine that an earlier service gave it to */
  constructor(channel: Channel, device: number, isOn = false) {
    this.#channel = channel;
    this.#device = device;
    this.#isOn = isOn;
  }

  get failure(): Promise<Error | undefined> {
    return this.#askFailure();
  }

  async powerOn(configuration: readonly string[]): Promise<unknown> {
    this.#isOn = true;
    try {
      return await this.#channel.request('powerOn', { device: this.#device, configuration });
    } catch (error) {
      this.#isOn = false;
      if (this.#channel.isOver) throw processGone();
      throw decodeFailure(NAME, dataOf(error));
    }
  }

  async powerOff(): Promise<void> {
    if (!this.#isOn || this.#channel.isOver) return;
    this.#isOn = false;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, POWER_OFF_LIMIT_MS).unref();
    });
    try {
      // A machine ends also when the process of one of its devices hangs.
      await Promise.race([this.#channel.request('powerOff', { device: this.#device }), late]);
    } catch (error) {
      if (!this.#channel.isOver) throw decodeFailure(NAME, dataOf(error));
    } finally {
      clearTimeout(timer);
    }
  }

  /** The client is gone, and the device with it. */
  lost(): void {
    void this.withdraw();
  }

  async #askFailure(): Promise<Error | undefined> {
    try {
      const failed = await this.#channel.request('failure', { device: this.#device });
      return failed === null ? undefined : decodeFailure(NAME, failed);
    } catch {
      return this.#channel.isOver ? processGone() : undefined;
    }
  }
}

function processGone(): Error {
  const message = 'the process of its device host has ended: start it again, and attach the device';
  return failure(NAME, 'HCS_E_SERVICE_DISCONNECT', message);
}

function dataOf(error: unknown): unknown {
  const { data, message } = error as { readonly data?: unknown; readonly message?: string };
  return data ?? { reason: message };
}
