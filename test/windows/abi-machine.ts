import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { OutCell } from '../../src/ffi/abi.ts';
import { InterceptGate } from '../../src/ffi/gate/intercept-gate.ts';
import { guidBytes } from '../../src/ffi/guid.ts';
import { NativeLibrary } from '../../src/ffi/native-library.ts';
import { type WindowsSystem, windowsSystem } from '../../src/ffi/windows-system.ts';
import { VM_DEVICE_HOST_ABI } from '../../src/hdv/native/vm-device-host-abi.ts';
import { runsFromSource, workerExecArgv } from '../../src/transport/typescript-loader.ts';
import type { AbiDeviceData } from './abi-device.ts';
import { StandInGuest } from './stand-in-guest.ts';
import { openStandIns, type StandIns } from './stand-ins.ts';

/** One machine of the stand-in without a service, and what tests of the bare functions need. */
export class AbiMachine implements AsyncDisposable {
  readonly standIns: StandIns = openStandIns();
  readonly system: WindowsSystem = windowsSystem(this.standIns.libraries.system);
  readonly library: NativeLibrary<typeof VM_DEVICE_HOST_ABI> = NativeLibrary.open(
    this.standIns.libraries.vmdevicehost,
    VM_DEVICE_HOST_ABI,
  );
  readonly id: string;
  readonly guest: StandInGuest;
  /** HCS_SYSTEM. */
  readonly handle: number;
  readonly #workers: { worker: Worker; stop: Int32Array; gate: InterceptGate }[] = [];

  constructor({ memoryMB = 64 } = {}) {
    this.id = `abi-${randomUUID()}`;
    this.guest = new StandInGuest(this.standIns.libraries.vmdevicehost, this.id);
    const { devices } = this.guest;
    expectOk(devices.function('StandInCreateSystem')(this.id, memoryMB));
    const cell: OutCell = [0];
    expectOk(devices.function('StandInOpenSystem')(this.id, cell));
    this.handle = Number(cell[0]);
  }

  /** HdvInitializeDeviceHost on this thread. */
  initialize(): number {
    const cell: OutCell = [0];
    expectOk(this.library.function('HdvInitializeDeviceHost')(this.handle, cell));
    return Number(cell[0]);
  }

  /** A gate that a worker serves with the device of `abi-device.ts`. */
  async gate(): Promise<InterceptGate> {
    const gate = InterceptGate.create(this.system);
    const stop = new SharedArrayBuffer(4);
    const workerData: AbiDeviceData = {
      handle: gate.handle,
      system: this.standIns.libraries.system,
      stop,
    };
    const worker = new Worker(new URL('./abi-device.ts', import.meta.url), {
      workerData,
      execArgv: workerExecArgv(runsFromSource),
    });
    this.#workers.push({ worker, gate, stop: new Int32Array(stop) });
    await once(worker, 'message');
    return gate;
  }

  /** HdvCreateDeviceInstance. @returns HRESULT and HDV_DEVICE */
  create(
    host: number,
    gate: InterceptGate,
    classId: string,
    instanceId: string,
  ): { readonly result: number; readonly device: number } {
    const cell: OutCell = [0];
    const result = this.library.function('HdvCreateDeviceInstance')(
      host,
      1,
      guidBytes(classId),
      guidBytes(instanceId),
      gate.tableAddress,
      gate.contextAddress,
      cell,
    );
    return { result, device: Number(cell[0]) };
  }

  /** A FlexibleIov entry, noted before the start or brought up after. */
  attach(
    instanceId: string,
    classId: string,
    model: 'External' | 'ExternalRestricted' = 'External',
  ): Promise<number> {
    const attach = this.guest.devices.function('StandInAttachDevice');
    return attach.async(this.id, instanceId, classId, model, null, 0);
  }

  start(): Promise<number> {
    return this.guest.devices.function('StandInStartSystem').async(this.id, null);
  }

  /** A running machine with one device in it, whose host was initialized on this thread. */
  async withDevice(): Promise<{
    readonly host: number;
    readonly device: number;
    readonly instanceId: string;
  }> {
    const [classId, instanceId] = [randomUUID(), randomUUID()];
    const host = this.initialize();
    const { device } = this.create(host, await this.gate(), classId, instanceId);
    expectOk(await this.attach(instanceId, classId));
    expectOk(await this.start());
    return { host, device, instanceId };
  }

  transcript(): string[] {
    return this.standIns.transcript({ id: this.id });
  }

  misuses(): string[] {
    return this.standIns.misuses({ id: this.id });
  }

  /** Ends the machine, then the workers. Device hosts are the test's. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.guest.devices.function('StandInDetachSystem').async(this.id);
    for (const { worker, stop, gate } of this.#workers) {
      gate.close();
      Atomics.store(stop, 0, 1);
      this.system.SetEvent(gate.handle.wakeEvent);
      await once(worker, 'exit');
    }
    this.guest.devices.function('StandInCloseSystem')(this.id, this.handle);
    this.standIns.close();
  }
}

/** @throws Error for anything but S_OK */
export function expectOk(result: number): void {
  if (result !== 0) throw new Error(`Failed with 0x${(result >>> 0).toString(16)}`);
}
