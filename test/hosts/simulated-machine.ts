import { randomUUID } from 'node:crypto';
import { GuestPlatform, PciDriver, type SimulatedMachine } from 'hdvkit/testing';
import type { Slot } from '../../src/engines/simulated/root-complex.ts';
import {
  createSimulatedHost,
  type SimulatedHost,
  type SimulatedHostOptions,
} from '../../src/hosts/simulated/host.ts';
import { type Attachment, ComputeSystem, DeviceHost, type DeviceNotice } from '../../src/index.ts';

/** A simulated machine on a host of its own, which places devices on workers unless told otherwise. */
export interface WorkerMachine extends AsyncDisposable {
  readonly host: SimulatedHost;
  readonly system: ComputeSystem;
  readonly devices: DeviceHost;
  readonly machine: SimulatedMachine;
  readonly notices: readonly DeviceNotice[];
  attach(module: string, exportName: string, group?: string): Promise<Attachment>;
  /** A driver on this thread: BARs placed, decoding on. */
  drive(deviceId: number): PciDriver;
  /** A program of `guest-programs/programs.ts`, on these processors. */
  run(program: string, argument?: unknown, processors?: number): Promise<readonly unknown[]>;
}

/** Starts a machine without devices. */
export async function startMachine(options: SimulatedHostOptions = {}): Promise<WorkerMachine> {
  const host = createSimulatedHost({ placement: 'worker', ...options });
  const document = {
    SchemaVersion: { Major: 2, Minor: 1 },
    Owner: 'hdvkit tests',
    VirtualMachine: {
      ComputeTopology: { Memory: { SizeInMB: 16 }, Processor: { Count: 1 } },
      Services: { Shutdown: {} },
    },
  };
  const core = host.computeCore;
  const system = await ComputeSystem.create(`hdvkit-${randomUUID()}`, document, { core });
  const notices: DeviceNotice[] = [];
  const report = (notice: DeviceNotice): void => void notices.push(notice);
  const devices = await DeviceHost.create(system, { binding: host.hdv, report });
  await system.start();
  const machine = host.machineOf(system.id);
  if (machine === undefined) throw new Error('The machine has ended');
  const platform = new GuestPlatform(machine);
  const drivers = new Map<Slot, PciDriver>();
  return {
    host,
    system,
    devices,
    machine,
    notices,
    attach: (module, exportName, group) =>
      devices.attach(new URL(module, import.meta.url), {
        export: exportName,
        ...(group === undefined ? {} : { group }),
      }),
    drive(deviceId) {
      const { slots } = machine.bus;
      const slot = slots.find(
        (candidate) => candidate.function.readConfigSpace(0) >>> 16 === deviceId,
      );
      if (slot === undefined) throw new Error(`No device ${deviceId.toString(16)} on the bus`);
      const driver = drivers.get(slot) ?? new PciDriver(platform, slot);
      drivers.set(slot, driver);
      return driver;
    },
    run: (program, argument, processors = 1) =>
      host.run(system.id, new URL('./guest-programs/programs.ts', import.meta.url), {
        export: program,
        argument,
        processors,
      }),
    async [Symbol.asyncDispose]() {
      await devices[Symbol.asyncDispose]();
      await system[Symbol.asyncDispose]();
      await host.close();
    },
  };
}
