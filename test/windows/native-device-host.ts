import { randomUUID } from 'node:crypto';
import { InterceptGate } from '../../src/ffi/gate/intercept-gate.ts';
import type { HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { DoorbellEvents } from '../../src/hdv/native/doorbell-events.ts';
import { HostThreadServer } from '../../src/hdv/native/host-thread.ts';
import {
  type NativeDeviceInterface,
  NativeVmDeviceHost,
  type NativeVmDeviceHostOptions,
} from '../../src/hdv/native/native-vm-device-host.ts';
import type { HDV_DEVICE, HDV_HOST } from '../../src/hdv/vm-device-host.ts';
import { AbiMachine, expectOk } from './abi-machine.ts';

/** A machine of the stand-in, and the binding to it; this thread is the one of device hosts. */
export class NativeMachine implements AsyncDisposable {
  readonly abi: AbiMachine;
  readonly deviceHost: NativeVmDeviceHost;
  readonly handle: HCS_SYSTEM;
  readonly #hosts: HDV_HOST[] = [];

  constructor(
    options: { readonly memoryMB?: number } & Pick<
      NativeVmDeviceHostOptions,
      'apertureLimit' | 'tornDown'
    > = {},
  ) {
    this.abi = new AbiMachine(options);
    this.handle = BigInt(this.abi.handle) as HCS_SYSTEM;
    const { library, system } = this.abi;
    const server = new HostThreadServer(library, system);
    this.deviceHost = new NativeVmDeviceHost({
      library,
      system,
      hostThread: async (request) => server.run(request),
      ...options,
    });
  }

  /** Initializes a device host that ends with this machine. */
  async initialize(): Promise<HDV_HOST> {
    const host = await this.deviceHost.HdvInitializeDeviceHost(this.handle);
    this.#hosts.push(host);
    return host;
  }

  async tearDown(host: HDV_HOST): Promise<void> {
    this.#hosts.splice(this.#hosts.indexOf(host), 1);
    await this.deviceHost.HdvTeardownDeviceHost(host);
  }

  /** The table and context of a device that runs on a worker. */
  async table(): Promise<NativeDeviceInterface & { readonly gate: InterceptGate }> {
    const gate = await this.abi.gate();
    return { table: gate.tableAddress, context: gate.contextAddress, gate };
  }

  /** A running machine with one device in it. */
  async withDevice(model: 'External' | 'ExternalRestricted' = 'External'): Promise<{
    readonly host: HDV_HOST;
    readonly device: HDV_DEVICE;
    readonly instanceId: string;
  }> {
    const host = await this.initialize();
    return { host, ...(await this.plug(host, model)) };
  }

  /** Puts a device into the machine, and starts it. */
  async plug(
    host: HDV_HOST,
    model: 'External' | 'ExternalRestricted' = 'External',
  ): Promise<{ readonly device: HDV_DEVICE; readonly instanceId: string }> {
    const [classId, instanceId] = [randomUUID(), randomUUID()];
    const device = this.deviceHost.createDevice(host, classId, instanceId, await this.table());
    expectOk(await this.abi.attach(instanceId, classId, model));
    expectOk(await this.abi.start());
    return { device, instanceId };
  }

  /** Sets something of the stand-in, for this machine. */
  set(name: 'quota', value: number): void {
    expectOk(this.abi.guest.devices.function('StandInSet')(this.abi.id, name, value));
  }

  /** Doorbells of a gate of their own, on this thread. */
  doorbells(count: number): { readonly events: DoorbellEvents; readonly gate: InterceptGate } {
    const gate = InterceptGate.create(this.abi.system);
    const contexts = Array.from({ length: count }, () => gate.addDoorbell().context);
    const events = new DoorbellEvents(this.abi.system, {
      callback: gate.doorbellCallback,
      contexts,
    });
    return { events, gate };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.#hosts) await this.deviceHost.HdvTeardownDeviceHost(host);
    await this.abi[Symbol.asyncDispose]();
  }
}
