import { HOST_NAMES, type HostName } from '../../hosts/host.ts';
import { UsageError } from '../usage-error.ts';
import type { ServiceHost, ServiceOptions } from './service-host.ts';

/**
 * The service that the options mean: under Windows that of Windows, elsewhere the daemon of this user, which is started
 * where none runs, or with `embedded` one in this process. Modules of hosts are loaded only for those.
 */
export async function connect(options: ServiceOptions): Promise<ServiceHost> {
  if (options.embedded && options.socket !== undefined) {
    throw new UsageError(
      'Cannot use --embedded with --socket: one is a service of this command, the other a running one',
      'leave one of them out',
    );
  }
  const asked = askedHost(options);
  const host = asked ?? platformHost();
  if (options.embedded || host === 'windows') {
    const { openHost } = await import('../open-host.ts');
    return serviceOfBinding(openHost(host));
  }
  const { connectService } = await import('../../daemon/connect-service.ts');
  const { core, service, close } = await connectService({
    socket: options.socket,
    startOnDemand: options.running ? false : { host },
  });
  if (asked !== undefined && asked !== service.host) {
    await close();
    throw new UsageError(
      `Cannot use the host ${asked}: the systems of the service that runs are of the host ${service.host}`,
      'leave out --host and HDVKIT_HOST, name another service by --socket, or use --embedded',
    );
  }
  return {
    name: service.host,
    core,
    outlivesCommand: true,
    hdv: () =>
      Promise.reject(
        new UsageError(
          'Cannot give a device to a system of the daemon: device hosts do not reach it yet',
          'use hdvkit vm run --device',
        ),
      ),
    close,
  };
}

/** The host that the user names, by the option or the environment. */
function askedHost({ host }: ServiceOptions): HostName | undefined {
  const name = host ?? process.env.HDVKIT_HOST;
  if (name === undefined || name === '') return undefined;
  if ((HOST_NAMES as readonly string[]).includes(name)) return name as HostName;
  throw new UsageError(
    `Cannot use the host '${name}' (HDVKIT_HOST): the hosts are ${HOST_NAMES.join(', ')}`,
    'unset HDVKIT_HOST, or set it to one of these',
  );
}

function platformHost(): HostName {
  if (process.platform === 'linux') return 'linux';
  return process.platform === 'win32' ? 'windows' : 'simulated';
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
