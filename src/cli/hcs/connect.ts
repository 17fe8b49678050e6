import type { HostName } from '../../hosts/host.ts';
import { UsageError } from '../usage-error.ts';
import type { ServiceHost, ServiceOptions } from './service-host.ts';

/** The service that the options mean. Modules of hosts are loaded only for a service of this process. */
export async function connect(options: ServiceOptions): Promise<ServiceHost> {
  if (options.embedded && options.socket !== undefined) {
    throw new UsageError(
      'Cannot use --embedded with --socket: one is a service of this command, the other a running one',
      'leave one of them out',
    );
  }
  const { openHost } = await import('../open-host.ts');
  const binding = openHost(options.host);
  return serviceOfBinding(binding);
}

/** What of a host a {@link ServiceHost} is made of. */
interface Binding {
  readonly name: HostName;
  readonly computeCore: ServiceHost['core'];
  readonly hdv: Awaited<ReturnType<ServiceHost['hdv']>>;
  close(): Promise<void>;
}

/** A host of this process as a service. Under Windows the service is Windows' own: systems outlive us. */
export function serviceOfBinding(
  binding: Binding,
  outlivesCommand = binding.name === 'windows',
): ServiceHost {
  return {
    name: binding.name,
    core: binding.computeCore,
    outlivesCommand,
    hdv: () => Promise.resolve(binding.hdv),
    close: () => binding.close(),
  };
}
