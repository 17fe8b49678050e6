import type { Socket } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DeviceDirectory } from '../../compute/device-directory.ts';
import { ServedService } from '../../compute/served-service.ts';
import type { ComputeServiceOptions } from '../../compute/served-systems.ts';
import { defaultStateFolder } from '../../compute/state-folder.ts';
import type { TakenOver } from '../../compute/take-over.ts';
import { AuditLog } from '../../daemon/access/audit-log.ts';
import { DescriptorPolicy } from '../../daemon/access/descriptor-policy.ts';
import type { PeerCredentials } from '../../daemon/access-policy.ts';
import { Daemon } from '../../daemon/daemon.ts';
import { EarlyClients } from '../../daemon/early-clients.ts';
import { groupIdOf } from '../../daemon/group-id.ts';
import type { GuestPrograms } from '../../daemon/guest-programs.ts';
import { ServiceSocket, type ServiceSocketOptions } from '../../daemon/service-socket.ts';
import { ServiceSocketError } from '../../daemon/service-socket-error.ts';
import { defaultSocketPath } from '../../daemon/socket-path.ts';
import { EXIT_SERVED } from '../../daemon/start-daemon.ts';
import { machineFolder } from '../../daemon/store/machine-folder.ts';
import { RecordCopies } from '../../daemon/store/record-copies.ts';
import { StateStore } from '../../daemon/store/state-store.ts';
import { StoreError } from '../../daemon/store/store-error.ts';
import { StoreJournal } from '../../daemon/store/store-journal.ts';
import { UsageError } from '../usage-error.ts';

/** Options of `hcsd`. */
export interface HcsdOptions {
  readonly socket?: string;
  readonly state?: string;
  readonly host: 'linux' | 'simulated';
  /** Seconds. */
  readonly idleExit?: number;
  /** Whether systems go on when a signal ends it. */
  readonly keep?: boolean;
  /** Name or id of a group whose members may connect. */
  readonly group?: string;
}

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Milliseconds that a daemon which is ending may take to give the state up. */
const STATE_LIMIT_MS = 15_000;
const LOOK_MS = 20;

/**
 * Runs the daemon until a signal, or idleness, ends it.
 * @throws ServiceSocketError; StoreError when another daemon has the state
 */
export async function runHcsd(options: HcsdOptions): Promise<void> {
  const { socket, host, idleExit, keep = false } = options;
  if (keep && host === 'simulated') {
    throw new UsageError(
      'Cannot keep simulated machines: they are in the process of the daemon',
      'leave out --keep, or use --host linux',
    );
  }
  const group = options.group === undefined ? undefined : groupOf(options.group);
  const folder = resolve(options.state ?? defaultStateFolder());
  requireOwnFolder(group, resolve(socket ?? defaultSocketPath()), folder);
  let daemon: Daemon | undefined;
  const early = new EarlyClients();
  const connected = (client: Socket): void => {
    if (daemon === undefined) early.add(client);
    else daemon.serve(client);
  };
  let store: StateStore | undefined;
  let keepsSystems = keep;
  let end: (reason: string) => void = () => {};
  const ended = new Promise<string>((resolve) => {
    end = resolve;
  });
  const lost = (reason: string): void => {
    log(`clients find this service no more: ${reason}`);
    if (host === 'simulated') return; // Its systems would end with it.
    keepsSystems = true;
    end('clients find it no more');
  };
  const listener = await listen(socket, connected, { group, lost });
  if (listener === undefined) return;
  const audit = new AuditLog(join(folder, 'audit.log'), { warn: log });
  try {
    store = await openStore(folder);
    const directory = new DeviceDirectory();
    const copies = new RecordCopies(join(folder, 'copies'));
    const journal = new StoreJournal(store, { warn: log, copies });
    const { programs, ...made } = await engineOptions(host, directory, folder, journal);
    const service = new ServedService({ ...made, journal });
    for (const outcome of await service.takeOver(journal.records)) log(outcomeText(outcome));
    daemon = new Daemon({
      service,
      directory,
      host,
      programs,
      peerOf: await peerFinder(),
      policy: new DescriptorPolicy({ group, descriptorOf: service.descriptorOf.bind(service) }),
      audit,
      log,
      idleLimitMs: idleExit === undefined ? undefined : idleExit * 1000,
      idle: () => end('nobody needs it'),
      stop: {
        keepsSystems: host === 'linux',
        now: (reason) => {
          keepsSystems = host === 'linux';
          end(reason);
        },
      },
    });
  } catch (error) {
    listener.close();
    early.destroy();
    store?.close();
    throw error;
  }
  for (const client of early.take()) daemon.serve(client);
  const handlers = SIGNALS.map(
    (signal) => [signal, () => end(`it was ended by ${signal}`)] as const,
  );
  for (const [signal, handler] of handlers) process.on(signal, handler);
  process.stdout.write(`hcsd: listening on ${listener.path}\n`);
  const reason = await ended;
  log(`ends: ${reason}`);
  listener.close();
  await daemon.close(reason, { keep: keepsSystems });
  await audit.flush();
  store.close();
  for (const [signal, handler] of handlers) process.off(signal, handler);
}

/** @throws UsageError where there is no such group, and where it cannot be told who connects */
function groupOf(group: string): number {
  if (process.platform !== 'linux') {
    throw new UsageError(
      'Cannot let a group in: this system does not tell who connects',
      'leave out --group',
    );
  }
  try {
    return groupIdOf(group);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UsageError(error.message, undefined, { cause: error });
  }
}

/** The state is nobody else's, also where a group may enter the folder of the socket. */
function requireOwnFolder(group: number | undefined, socket: string, state: string): void {
  if (group === undefined || dirname(socket) !== state) return;
  throw new UsageError(
    `Cannot let a group connect to ${socket}: it is in the folder of the state, which is for the service alone`,
    'put the socket into a folder of its own by --socket',
  );
}

/** @returns undefined, with the exit code set, when another daemon serves the socket */
async function listen(
  socket: string | undefined,
  connected: (client: Socket) => void,
  options: ServiceSocketOptions,
): Promise<ServiceSocket | undefined> {
  try {
    const passed = await ServiceSocket.passed(connected);
    const path = socket ?? defaultSocketPath();
    return passed ?? (await ServiceSocket.listen(path, connected, options));
  } catch (error) {
    if (!(error instanceof ServiceSocketError && error.isServed)) throw error;
    process.stderr.write(`hcsd: ${error.message}\n`);
    process.exitCode = EXIT_SERVED;
    return undefined;
  }
}

/** Opens the state, which the daemon before this one may be about to give up. */
async function openStore(folder: string): Promise<StateStore> {
  const limit = performance.now() + STATE_LIMIT_MS;
  for (;;) {
    try {
      return StateStore.open(folder, { warn: log });
    } catch (error) {
      const isLocked = error instanceof StoreError && error.kind === 'locked';
      if (!isLocked || performance.now() > limit) throw error;
    }
    await delay(LOOK_MS);
  }
}

async function engineOptions(
  host: HcsdOptions['host'],
  directory: DeviceDirectory,
  stateFolder: string,
  journal: StoreJournal,
): Promise<ComputeServiceOptions & { readonly programs?: GuestPrograms }> {
  if (host === 'linux') {
    const { linuxServiceOptions } = await import('../../hosts/linux/host.ts');
    const engine = { outlives: true, folder: machineFolder(journal, stateFolder) };
    return linuxServiceOptions({ directory, stateFolder, engine });
  }
  const { simulatedServiceOptions } = await import('../../hosts/simulated/host.ts');
  const { createServedEngine } = await import('../../hosts/simulated/served-engine.ts');
  const { engine, programs } = createServedEngine({ log });
  return { ...simulatedServiceOptions({ directory, stateFolder, engine }), programs };
}

function outcomeText(outcome: TakenOver): string {
  if (outcome.kind === 'reaped') return `ended ${outcome.count} machines that nobody knows`;
  if (outcome.kind === 'notReaped') return `does not end what nobody knows: ${outcome.reason}`;
  const name = `system ${JSON.stringify(outcome.id)}`;
  switch (outcome.kind) {
    case 'goesOn':
      return `took ${name} over, which is ${outcome.state}`;
    case 'ended':
      return `${name} has ended while no service was there: ${outcome.detail}`;
    case 'settled': {
      const what = outcome.outcome === 'finished' ? 'is finished' : 'is undone';
      const why = outcome.reason === undefined ? '' : `: ${outcome.reason}`;
      return `${outcome.function} of ${name} was on its way, and ${what}${why}`;
    }
    case 'dropped':
      return `${name} was being created, and is dropped`;
    case 'left':
      return `${name} cannot be taken over, and is left alone: ${outcome.reason}`;
  }
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
