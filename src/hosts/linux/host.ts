import { ComputeFunctions } from '../../compute/compute-functions.ts';
import { DeviceDirectory, type DeviceRegistry } from '../../compute/device-directory.ts';
import { notImplementedStorage } from '../../compute/not-implemented-storage.ts';
import type { ComputeServiceOptions } from '../../compute/served-systems.ts';
import { ComputeService } from '../../compute/service.ts';
import { crashReportsOf, type StateOptions } from '../../compute/state-folder.ts';
import { type ConnectServiceOptions, openService } from '../../daemon/connect-service.ts';
import type { RemoteService } from '../../daemon/remote-service.ts';
import { LocalDeviceHost } from '../../device-host/local-device-host.ts';
import { RuntimeFolder } from '../../device-host/runtime-folder.ts';
import { VfioUserPlacement } from '../../device-host/vfio-user-placement.ts';
import { VfioUserPlatform } from '../../device-host/vfio-user-platform.ts';
import { QemuEngine, type QemuEngineOptions } from '../../engines/qemu/engine.ts';
import { linuxHostInformation } from '../../engines/qemu/linux-host-information.ts';
import type { HdvBinding } from '../../hdv/hdv-binding.ts';
import type { HostCapabilities } from '../../hdv/host-capabilities.ts';
import type { HostBinding } from '../host.ts';

/** What the linux host can do. */
export const LINUX_CAPABILITIES: HostCapabilities = {
  commandRegister: 'forwarded',
  intx: true,
  flexibleIovRemove: 'exceptMsix',
  doorbells: 'yes',
  mappedRanges: 'yes',
  placements: ['worker', 'inline'],
};

/** How a linux host is made; everything has a default. */
export interface LinuxHostOptions extends StateOptions {
  /** Milliseconds after which a device on a worker that does not answer is given up; 1000. */
  readonly stallLimitMs?: number;
  /** MiB of JavaScript objects that a device on a worker may hold; 512. */
  readonly heapLimit?: number;
  /** How machines are run: another QEMU, no time limit for a debugger. */
  readonly engine?: QemuEngineOptions;
  /**
   * The service behind a socket that runs the machines, in place of one of this process, whose options (engine, state
   * folder, crash reports) are then its own. Devices stay in this process all the same.
   */
  readonly service?: ConnectServiceOptions | undefined;
}

/** What the service of a linux host is made of. */
export function linuxServiceOptions({
  directory,
  engine,
  ...state
}: StateOptions & {
  readonly directory: DeviceDirectory;
  readonly engine?: QemuEngineOptions | undefined;
}): ComputeServiceOptions {
  return {
    engines: [new QemuEngine(engine)],
    directory,
    host: linuxHostInformation(),
    crashReports: crashReportsOf(state),
  };
}

/** Makes a linux host: a service of its own in this process, QEMU for machines, vfio-user for devices. */
export function createLinuxHost({
  engine,
  stateFolder,
  crashReports,
  service: elsewhere,
  ...options
}: LinuxHostOptions = {}): HostBinding {
  if (elsewhere !== undefined) return hostOverService(openService(elsewhere), options);
  const directory = new DeviceDirectory();
  const service = new ComputeService(
    linuxServiceOptions({ directory, engine, stateFolder, crashReports }),
  );
  const devices = serveDevices(service, directory, options);
  return {
    name: 'linux',
    computeCore: service,
    computeStorage: notImplementedStorage,
    hdv: devices.hdv,
    async close() {
      await service[Symbol.asyncDispose]();
      await devices.close();
    },
  };
}

/** A host whose machines are run by a service behind a socket; its devices are in this process. */
export function hostOverService(
  remote: RemoteService,
  options: Pick<LinuxHostOptions, 'stallLimitMs' | 'heapLimit'> = {},
): HostBinding {
  const core = new ComputeFunctions(remote);
  const devices = serveDevices(core, remote, options);
  return {
    name: 'linux',
    computeCore: core,
    computeStorage: notImplementedStorage,
    hdv: devices.hdv,
    async close() {
      await devices.close();
      await remote.close();
    },
  };
}

/** Devices of this process, for machines that reach them over vfio-user, wherever they run on this computer. */
function serveDevices(
  core: ComputeFunctions,
  registry: DeviceRegistry,
  options: Pick<LinuxHostOptions, 'stallLimitMs' | 'heapLimit'>,
): { readonly hdv: HdvBinding; close(): Promise<void> } {
  let folder: RuntimeFolder | undefined;
  const socketPath = (): string => {
    folder ??= RuntimeFolder.create();
    return folder.fresh('.sock');
  };
  const platform = new VfioUserPlatform({
    systemIdOf: (handle) => core.systemIdOf(handle),
    socketPath,
    instanceOf: (device) => deviceHost.instanceOf(device),
  });
  const deviceHost: LocalDeviceHost = new LocalDeviceHost(registry, platform);
  const placement = new VfioUserPlacement({ deviceHost, socketPath, ...options });
  return {
    hdv: {
      hostName: 'linux',
      vmDeviceHost: deviceHost,
      capabilities: LINUX_CAPABILITIES,
      placement,
      platform: {
        clock: () => platform.clock(),
        setInterruptLine: (device, asserted) => platform.setInterruptLine(device, asserted),
        doorbellEvent: (_device, ring) => platform.doorbellEvent(ring),
        section: (size, place) => platform.section(size, place),
        knowsDeviceInStart: true,
        release: (device) => deviceHost.release(device),
      },
    },
    async close() {
      await placement.close();
      await folder?.remove();
      folder = undefined;
    },
  };
}
