import { type ConnectServiceOptions, openService } from '../daemon/connect-service.ts';
import { provideComputeCore } from '../hcs/selected-core.ts';
import { provideComputeStorage } from '../hcs/selected-storage.ts';
import { provideHdv } from '../hdv/hdv-binding.ts';
import { HOST_NAMES, type HostBinding, type HostName, HostUnavailableError } from './host.ts';
import { createLinuxHost } from './linux/host.ts';
import { serviceHost } from './service-host.ts';
import { createSimulatedHost } from './simulated/host.ts';
import { createWindowsHost } from './windows/host.ts';

/** The environment variable that selects a host. */
const VARIABLE = 'HDVKIT_HOST';

const bindings = new Map<HostName, HostBinding>();
let selected: HostName | undefined;
/** The host over a service behind a socket, while that is selected. */
let served: HostBinding | undefined;

provideComputeCore(() => selectedHost().computeCore);
provideComputeStorage(() => selectedHost().computeStorage);
provideHdv(() => selectedHost().hdv);

/**
 * Selects the host that everything uses from now on: the functions with Microsoft's names, `ComputeSystem` and
 * `DeviceHost`. What exists stays with the host that made it. Hosts are made on first selection and kept.
 * @throws RangeError for a name that is no host
 * @throws HostUnavailableError where this platform has no such host
 */
export function useHost(name: HostName): HostBinding {
  const known = bindings.get(checkName(name, 'useHost'));
  const binding = known ?? createHost(name);
  bindings.set(name, binding);
  selected = name;
  served = undefined;
  return binding;
}

/**
 * Selects the compute service behind a socket, `hcsd`, as {@link useHost} selects a host: its machines run in the daemon and
 * may outlive this process, while devices stay in this process.
 * @throws HcsError HCS_E_SERVICE_NOT_AVAILABLE when none listens there, HCS_E_ACCESS_DENIED,
 * HCS_E_UNSUPPORTED_PROTOCOL_VERSION
 */
export async function useService(options: ConnectServiceOptions = {}): Promise<HostBinding> {
  const remote = openService(options);
  const { host } = await remote.greet();
  served = serviceHost(remote, host);
  return served;
}

/**
 * The selected host: the one of the last {@link useHost}, else of the environment variable HDVKIT_HOST, else the
 * platform's own: `linux` on Linux, `windows` on Windows, `simulated` elsewhere. Never another in its stead.
 * @throws RangeError when HDVKIT_HOST names no host
 * @throws HostUnavailableError where this platform has no such host
 */
export function selectedHost(): HostBinding {
  return served ?? useHost(selected ?? wantedHost());
}

/** Name of the host that is, or would be, selected, without making it. @throws RangeError as {@link selectedHost} */
export function selectedHostName(): HostName {
  return served?.name ?? selected ?? wantedHost();
}

function wantedHost(): HostName {
  const fromEnvironment = process.env[VARIABLE];
  if (fromEnvironment !== undefined && fromEnvironment !== '') {
    return checkName(fromEnvironment, VARIABLE);
  }
  if (process.platform === 'linux') return 'linux';
  return process.platform === 'win32' ? 'windows' : 'simulated';
}

function checkName(name: string, where: string): HostName {
  if ((HOST_NAMES as readonly string[]).includes(name)) return name as HostName;
  throw new RangeError(
    `Cannot use the host '${name}' (${where}): the hosts are ${HOST_NAMES.join(', ')}`,
  );
}

function createHost(name: HostName): HostBinding {
  switch (name) {
    case 'simulated':
      return createSimulatedHost();
    case 'linux':
      if (process.platform === 'linux') return createLinuxHost();
      throw new HostUnavailableError(
        name,
        'it needs Linux; use HDVKIT_HOST=simulated or --host simulated',
      );
    case 'windows':
      return createWindowsHost();
  }
}
