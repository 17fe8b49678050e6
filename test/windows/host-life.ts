import { randomUUID } from 'node:crypto';
import { type Attachment, type AttachOptions, ComputeSystem, DeviceHost } from '../../src/index.ts';
import { TROUBLE } from '../host/trouble-device.ts';
import type { StandInFunction } from './stand-in-function.ts';
import type { StandInGuest } from './stand-in-guest.ts';
import type { WindowsTestHost } from './windows-test-host.ts';

const MODULE = new URL('../host/trouble-device.ts', import.meta.url);
const MATCH = { vendorId: 0x1af5, deviceId: 0x7001 };

/** A running machine, and what its devices have reported. */
export class TroubledMachine implements AsyncDisposable {
  readonly system: ComputeSystem;
  readonly devices: DeviceHost;
  readonly guest: StandInGuest;
  /** What devices reported as failed, in order. */
  readonly failures: Error[] = [];
  #heard: () => void = () => undefined;

  private constructor(system: ComputeSystem, devices: DeviceHost, guest: StandInGuest) {
    this.system = system;
    this.devices = devices;
    this.guest = guest;
  }

  static async start(host: WindowsTestHost): Promise<TroubledMachine> {
    const core = host.binding.computeCore;
    const id = `hdvkit-${randomUUID()}`;
    const system = await ComputeSystem.create(id, host.document(), { core });
    const devices = await DeviceHost.create(system, {
      binding: host.binding.hdv,
      report: (notice) => {
        if (notice.type !== 'failed') return;
        machine.failures.push(notice.error);
        machine.#heard();
      },
    });
    const machine = new TroubledMachine(system, devices, await host.guestOf(system));
    await system.start();
    return machine;
  }

  attach(options: AttachOptions = {}): Promise<Attachment> {
    return this.devices.attach(MODULE, { export: 'TroubleDevice', ...options });
  }

  /** The device as the guest's driver has it. */
  open(): Promise<StandInFunction> {
    return this.guest.open(MATCH);
  }

  /** Resolves when something was reported as failed. */
  async failed(): Promise<Error> {
    while (this.failures.length === 0) {
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
    return this.failures[0] as Error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.devices[Symbol.asyncDispose]();
    await this.system[Symbol.asyncDispose]();
  }
}

/** Makes the trouble by a write. */
export function makeTrouble(fn: StandInFunction, what: number): Promise<void> {
  return fn.writeBar(0, TROUBLE.offsets.TROUBLE, 4, what);
}
