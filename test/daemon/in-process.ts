import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ComputeFunctions } from '../../src/compute/compute-functions.ts';
import { DeviceDirectory } from '../../src/compute/device-directory.ts';
import { ServedService } from '../../src/compute/served-service.ts';
import type { ComputeServiceOptions } from '../../src/compute/served-systems.ts';
import { Daemon, type DaemonOptions } from '../../src/daemon/daemon.ts';
import { RemoteService } from '../../src/daemon/remote-service.ts';
import { RecordingEngine } from '../compute/recording-engine.ts';

/** A daemon in this process, behind a socket in a folder of its own. */
export class InProcessDaemon {
  readonly engine = new RecordingEngine();
  readonly directory = new DeviceDirectory();
  readonly service: ServedService;
  readonly daemon: Daemon;
  /** Lines that the daemon has logged. */
  readonly log: string[] = [];
  readonly path: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
  readonly #server: Server;
  readonly #listening: Promise<void>;
  readonly #remotes = new Set<RemoteService>();
  readonly #sockets = new Set<Socket>();

  constructor(
    options: Partial<DaemonOptions> = {},
    serviceOptions: Partial<ComputeServiceOptions> = {},
  ) {
    const { directory, engine } = this;
    this.path = join(this.#folder, 'hcsd.sock');
    this.service = new ServedService({ engines: [engine], directory, ...serviceOptions });
    this.daemon = new Daemon({
      service: this.service,
      directory: serviceOptions.directory ?? directory,
      host: 'simulated',
      peerOf: () => ({ pid: process.pid, uid: process.getuid?.() ?? 0, gid: 0 }),
      log: (line) => this.log.push(line),
      ...options,
    });
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      this.daemon.serve(socket);
    });
    this.#listening = new Promise((resolve) => this.#server.listen(this.path, () => resolve()));
  }

  /** A socket that nobody has said anything on. */
  async connect(): Promise<Socket> {
    await this.#listening;
    return await new Promise((resolve, reject) => {
      const socket = connect(this.path, () => resolve(socket));
      socket.once('error', reject);
    });
  }

  /** The service as a client has it, over a connection of its own. */
  remote(greetingLimitMs = 30_000): RemoteService {
    const remote = new RemoteService({ connect: () => this.connect(), greetingLimitMs });
    this.#remotes.add(remote);
    return remote;
  }

  /** Keeps no client that was closed. */
  forget(remote: RemoteService): void {
    this.#remotes.delete(remote);
  }

  /** The functions over a connection of their own. */
  core(): ComputeFunctions {
    return new ComputeFunctions(this.remote());
  }

  /** Ends every connection without a word, as when the daemon dies. */
  dropClients(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    await this.daemon.close('the test is over');
    await this.die();
  }

  /** Is gone with its connections and its socket, without a word to anybody. */
  async die(): Promise<void> {
    this.dropClients();
    for (const remote of this.#remotes) await remote.close();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
