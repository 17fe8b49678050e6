import type { ServiceConnection } from '../../daemon/connect-service.ts';
import type { StopAnswer } from '../../daemon/protocol.ts';
import type { HdvBinding } from '../../hdv/hdv-binding.ts';
import { HOST_NAMES, type HostName } from '../../hosts/host.ts';
import { UsageError } from '../usage-error.ts';
import type { ServiceHost, ServiceOptions } from './service-host.ts';

/** Milliseconds that a daemon may take to greet: one that is well takes some of them, and a person waits. */
const GREETING_LIMIT_MS = 5_000;

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
  const { socket } = options;
  const { core, remote, service, close } = await connectDaemon(
    socket,
    host,
    options.running ?? false,
  );
  const { host: name, version, pid } = service;
  if (asked !== undefined && asked !== name) {
    await close();
    throw new UsageError(
      `Cannot use the host ${asked}: the systems of the service that runs are of the host ${name}`,
      'leave out --host and HDVKIT_HOST, name another service by --socket, or use --embedded',
    );
  }
  const daemon = { version, pid };
  if (options.devices === undefined) {
    const grantUntilEnd = remote.grantUntilEnd.bind(remote);
    return { name, core, outlivesCommand: true, daemon, grantUntilEnd, close };
  }
  const { openService } = await import('../../daemon/connect-service.ts');
  const { serviceHost } = await import('../../hosts/service-host.ts');
  const binding = serviceHost(openService({ socket, deviceNews: options.devices }), name);
  // The daemon goes on as long as this connection does.
  return {
    ...serviceOfBinding(binding, true),
    daemon,
    async close() {
      await binding.close();
      await close();
    },
  };
}

/**
 * Connects to the daemon of a socket, and starts it where none listens. A daemon that ends afterwards is not started again:
 * somebody wanted it to end, and its systems have ended with it.
 */
async function connectDaemon(
  socket: string | undefined,
  host: 'linux' | 'simulated',
  isRunning: boolean,
): Promise<ServiceConnection> {
  const { connectService, isNobodyThere } = await import('../../daemon/connect-service.ts');
  const given = { socket, greetingLimitMs: GREETING_LIMIT_MS };
  try {
    return await connectService(given);
  } catch (error) {
    if (isRunning || !isNobodyThere(error)) throw asUsageError(error);
  }
  await using _starter = await connectService({ ...given, startOnDemand: { host } });
  return await connectService(given);
}

/** Asks the daemon of the socket to end; see {@link stopService}. */
export async function stop({ socket }: ServiceOptions, isSure: boolean): Promise<StopAnswer> {
  const { stopService } = await import('../../daemon/stop-service.ts');
  try {
    return await stopService({ socket, isSure, greetingLimitMs: GREETING_LIMIT_MS });
  } catch (error) {
    throw asUsageError(error);
  }
}

/** A path that no socket can have is what the user gave. */
function asUsageError(error: unknown): unknown {
  if (!(error instanceof RangeError)) return error;
  return new UsageError(error.message, undefined, { cause: error });
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
  readonly hdv: HdvBinding;
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
    hdv: binding.hdv,
    close: () => binding.close(),
  };
}
