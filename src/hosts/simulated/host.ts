import { DeviceDirectory } from '../../compute/device-directory.ts';
import { notImplementedStorage } from '../../compute/not-implemented-storage.ts';
import type { ComputeServiceOptions } from '../../compute/served-systems.ts';
import { ComputeService } from '../../compute/service.ts';
import { crashReportsOf, type StateOptions } from '../../compute/state-folder.ts';
import { LocalDeviceHost } from '../../device-host/local-device-host.ts';
import { SimulatedEngine } from '../../engines/simulated/engine.ts';
import { simulatedHostInformation } from '../../engines/simulated/host-information.ts';
import type { SimulatedMachine } from '../../engines/simulated/machine.ts';
import type { HostCapabilities, Placement } from '../../hdv/host-capabilities.ts';
import type { ProgramHost } from '../program-host.ts';
import { SimulatedPlacement } from './placement.ts';
import { SimulatedPlatform } from './platform.ts';
import { runProgramOf } from './processors.ts';

/** The simulated host, which also lets guest programs in. */
export interface SimulatedHost extends ProgramHost {
  /** The machine of a system, from its creation until it has ended. */
  machineOf(systemId: string): SimulatedMachine | undefined;
}

/** What the simulated host can do. */
export const SIMULATED_CAPABILITIES: HostCapabilities = {
  commandRegister: 'forwarded',
  intx: true,
  flexibleIovRemove: 'yes',
  doorbells: 'yes',
  mappedRanges: 'yes',
  placements: ['inline', 'worker'],
};

/** How a simulated host is made; everything has a default. */
export interface SimulatedHostOptions extends StateOptions {
  /** Where devices run that were attached by the URL of their module and nothing else; `inline`. */
  readonly placement?: Placement;
  /** Milliseconds after which a device on a worker that does not answer is given up; 1000. */
  readonly stallLimitMs?: number;
  /** MiB of JavaScript objects that the devices of a worker may hold; 512. */
  readonly heapLimit?: number;
}

/** What the service of a simulated host is made of. */
export function simulatedServiceOptions({
  directory,
  engine = new SimulatedEngine(),
  ...state
}: StateOptions & {
  readonly directory: DeviceDirectory;
  readonly engine?: SimulatedEngine;
}): ComputeServiceOptions {
  return {
    engines: [engine],
    directory,
    host: simulatedHostInformation,
    crashReports: crashReportsOf(state),
  };
}

/** Makes a simulated host: a service of its own, in this process, with machines that run guest programs. */
export function createSimulatedHost({
  placement: first = 'inline',
  stateFolder,
  crashReports,
  ...limits
}: SimulatedHostOptions = {}): SimulatedHost {
  const directory = new DeviceDirectory();
  const engine = new SimulatedEngine();
  const service = new ComputeService(
    simulatedServiceOptions({ directory, engine, stateFolder, crashReports }),
  );
  const platform = new SimulatedPlatform(engine, (handle) => service.systemIdOf(handle));
  const deviceHost = new LocalDeviceHost(directory, platform);
  const placement = new SimulatedPlacement({ deviceHost, engine, ...limits });
  const { placements } = SIMULATED_CAPABILITIES;
  return {
    name: 'simulated',
    computeCore: service,
    computeStorage: notImplementedStorage,
    hdv: {
      hostName: 'simulated',
      vmDeviceHost: deviceHost,
      capabilities: {
        ...SIMULATED_CAPABILITIES,
        placements: first === 'inline' ? placements : placements.toReversed(),
      },
      placement,
      platform: {
        clock: (device) => platform.clock(deviceHost.instanceOf(device)),
        setInterruptLine: (device, asserted) =>
          platform.setInterruptLine(deviceHost.instanceOf(device), asserted),
        doorbellEvent: (_device, ring) => platform.doorbellEvent(ring),
        section: (size) => platform.section(size),
        knowsDeviceInStart: true,
        release: (device) => deviceHost.release(device),
      },
    },
    machineOf: (systemId) => engine.machineOf(systemId),
    run: (systemId, program, options) => runProgramOf(engine, systemId, program, options),
    async close() {
      await service[Symbol.asyncDispose]();
      await placement.close();
    },
  };
}
