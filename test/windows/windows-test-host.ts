import { createWindowsHost } from '../../src/hosts/windows/host.ts';
import type { HostingModel } from '../../src/index.ts';
import type { TestHost } from '../host/conformance.ts';
import { StandInGuest } from './stand-in-guest.ts';
import { openStandIns, type StandIns } from './stand-ins.ts';

/** The windows host over stand-in libraries, as the suites use it. */
export interface WindowsTestHost extends TestHost {
  readonly standIns: StandIns;
  guestOf(system: { readonly id: string }): Promise<StandInGuest>;
}

/** How {@link openWindowsHost} sets up. */
export interface WindowsTestHostOptions {
  readonly hostingModel?: HostingModel;
  /** The platform passes writes of BARs and of the command register on to devices. */
  readonly forwards?: boolean;
  readonly memoryMB?: number;
  /** How long a device may be at work on one call. */
  readonly stallLimitMs?: number;
  /** MiB that a device's thread may have. */
  readonly heapLimit?: number;
}

/** Opens the windows host over the stand-ins. One at a time in a process with the same options. */
export async function openWindowsHost({
  forwards = false,
  hostingModel = 'External',
  memoryMB = 256,
  ...limits
}: WindowsTestHostOptions = {}): Promise<WindowsTestHost> {
  const standIns = openStandIns();
  const { libraries } = standIns;
  const binding = createWindowsHost({ libraries, ...limits });
  const { devices } = new StandInGuest(libraries.vmdevicehost, 'none');
  const set = devices.function('StandInSet');
  set(null, 'forwards', forwards ? 1 : 0);
  set(null, 'memoryMB', memoryMB);
  return {
    binding,
    hostingModel,
    standIns,
    document: () => ({
      SchemaVersion: { Major: 2, Minor: 1 },
      Owner: 'hdvkit tests',
      VirtualMachine: {
        Chipset: { Uefi: {} },
        ComputeTopology: {
          Memory: { Backing: 'Virtual', SizeInMB: memoryMB },
          Processor: { Count: 2 },
        },
      },
      ShouldTerminateOnLastHandleClosed: true,
    }),
    guestOf: async ({ id }) => new StandInGuest(libraries.vmdevicehost, id),
    async close() {
      await binding.close();
      set(null, 'forwards', 0);
      standIns.close();
    },
  };
}
