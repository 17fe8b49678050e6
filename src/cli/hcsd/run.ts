import type { Socket } from 'node:net';
import { join } from 'node:path';
import { DeviceDirectory } from '../../compute/device-directory.ts';
import { ServedService } from '../../compute/served-service.ts';
import { defaultStateFolder } from '../../compute/state-folder.ts';
import { AuditLog } from '../../daemon/access/audit-log.ts';
import type { PeerCredentials } from '../../daemon/access-policy.ts';
import { Daemon } from '../../daemon/daemon.ts';
import { ServiceSocket, ServiceSocketError } from '../../daemon/service-socket.ts';
import { defaultSocketPath } from '../../daemon/socket-path.ts';
import { EXIT_SERVED } from '../../daemon/start-daemon.ts';

/** Options of `hcsd`. */
export interface HcsdOptions {
  readonly socket?: string;
  readonly state?: string;
  readonly host: 'linux' | 'simulated';
  /** Seconds. */
  readonly idleExit?: number;
}

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Runs the daemon until a signal, or idleness, ends it. @throws ServiceSocketError */
export async function runHcsd({ socket, state, host, idleExit }: HcsdOptions): Promise<void> {
  const directory = new DeviceDirectory();
  const folder = state ?? defaultStateFolder();
  const service = await serviceOf(host, directory, folder);
  const audit = new AuditLog(join(folder, 'audit.log'), { warn: log });
  let end: (reason: string) => void = () => {};
  const ended = new Promise<string>((resolve) => {
    end = resolve;
  });
  const daemon = new Daemon({
    service,
    directory,
    host,
    peerOf: await peerFinder(),
    audit,
    log,
    idleLimitMs: idleExit === undefined ? undefined : idleExit * 1000,
    idle: () => end('nobody needs it'),
  });
  const connected = (client: Socket): void => daemon.serve(client);
  let listener: ServiceSocket;
  try {
    const passed = await ServiceSocket.passed(connected);
    listener = passed ?? (await ServiceSocket.listen(socket ?? defaultSocketPath(), connected));
  } catch (error) {
    await daemon.close('it cannot listen');
    if (!(error instanceof ServiceSocketError && error.isServed)) throw error;
    process.stderr.write(`hcsd: ${error.message}\n`);
    process.exitCode = EXIT_SERVED;
    return;
  }
  const handlers = SIGNALS.map(
    (signal) => [signal, () => end(`it was ended by ${signal}`)] as const,
  );
  for (const [signal, handler] of handlers) process.on(signal, handler);
  process.stdout.write(`hcsd: listening on ${listener.path}\n`);
  const reason = await ended;
  log(`ends: ${reason}`);
  listener.close();
  await daemon.close(reason);
  await audit.flush();
  for (const [signal, handler] of handlers) process.off(signal, handler);
}

async function serviceOf(
  host: HcsdOptions['host'],
  directory: DeviceDirectory,
  stateFolder: string,
): Promise<ServedService> {
  if (host === 'linux') {
    const { linuxServiceOptions } = await import('../../hosts/linux/host.ts');
    return new ServedService(linuxServiceOptions({ directory, stateFolder }));
  }
  const { simulatedServiceOptions } = await import('../../hosts/simulated/host.ts');
  return new ServedService(simulatedServiceOptions({ directory, stateFolder }));
}

/** Where the system does not tell who connects, it is who may: the user of the socket. */
async function peerFinder(): Promise<(socket: Socket) => PeerCredentials> {
  if (process.platform === 'linux') return (await import('../../daemon/access/peer.ts')).peerOf;
  const self = { pid: 0, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  return () => self;
}

function log(line: string): void {
  process.stderr.write(`${new Date().toISOString()} hcsd: ${line}\n`);
}
