import { DeviceDirectory } from '../../compute/device-directory.ts';
import { notImplementedStorage } from '../../compute/not-implemented-storage.ts';
import { ComputeService } from '../../compute/service.ts';
import { LocalDeviceHost } from '../../device-host/local-device-host.ts';
import { SimulatedEngine } from '../../engines/simulated/engine.ts';
import type { SimulatedMachine } from '../../engines/simulated/machine.ts';
import type { HostCapabilities } from '../../hdv/host-capabilities.ts';
import type { HostBinding } from '../host.ts';
import { SimulatedPlatform } from './platform.ts';

/** The simulated host, which also lets guest programs in. */
export interface SimulatedHost extends HostBinding {
  readonly name: 'simulated';
  /** The machine of a system, from its creation until it has ended. */
  machineOf(systemId: string): SimulatedMachine | undefined;
}

/** What the simulated host can do. */
export const SIMULATED_CAPABILITIES: HostCapabilities = {
  commandRegister: 'forwarded',
  intx: true,
  flexibleIovRemove: 'yes',
  doorbells: 'no',
  mappedRanges: 'no',
  placements: ['inline'],
};

/** Makes a simulated host: a service of its own, in this process, with machines that run guest programs. */
export function createSimulatedHost(): SimulatedHost {
  const directory = new DeviceDirectory();
  const engine = new SimulatedEngine();
  const service = new ComputeService({ engines: [engine], directory });
  const platform = new SimulatedPlatform(engine, (handle) => service.systemIdOf(handle));
  const deviceHost = new LocalDeviceHost(directory, platform);
  return {
    name: 'simulated',
    computeCore: service,
    computeStorage: notImplementedStorage,
    hdv: {
      hostName: 'simulated',
      vmDeviceHost: deviceHost,
      capabilities: SIMULATED_CAPABILITIES,
      platform: {
        clock: (device) => platform.clock(deviceHost.instanceOf(device)),
        setInterruptLine: (device, asserted) =>
          platform.setInterruptLine(deviceHost.instanceOf(device), asserted),
        release: (device) => deviceHost.release(device),
      },
    },
    machineOf: (systemId) => engine.machineOf(systemId),
    async close() {
      await service[Symbol.asyncDispose]();
    },
  };
}
