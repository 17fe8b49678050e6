import type { LiveMachine } from '../live-machine.ts';
import type { QmpEvent } from '../qmp.ts';
import {
  forgetHvSocket,
  guestConnectionPath,
  HV_SOCKET_ID,
  plugHvSocket,
  unplugHvSocket,
} from '../resources/hv-socket.ts';
import { GuestConnection, HEARTBEAT_INTERVAL_MS } from './connection.ts';

/** Milliseconds that a start waits for the agent of the guest, where nothing is said. */
const CONNECTION_LIMIT_MS = 240_000;

/** Who hears of the sockets of a machine. */
export interface MachineSocketsObserver {
  /** The agent of the guest was connected, and is no more. */
  connectionClosed(): void;
  /** The guest would wait for its sockets for ever. */
  failed(text: string): void;
}

/**
 * The sockets between one machine's guest and its host, from the machine's start to its end. A machine whose document asks
 * for none, and that gets none later, has nothing of this.
 */
export class MachineSockets {
  readonly #machine: LiveMachine;
  readonly #observer: MachineSocketsObserver;
  #isLettingGo = false;
  #hasEnded = false;

  constructor(machine: LiveMachine, observer: MachineSocketsObserver) {
    this.#machine = machine;
    this.#observer = observer;
    const { hvSocket } = machine.plan;
    if (hvSocket?.hasAgent !== true) return;
    machine.guestConnection = new GuestConnection(
      guestConnectionPath(machine.folder),
      () => {
        if (!this.#hasEnded) observer.connectionClosed();
      },
      hvSocket.hasHeartbeat === true ? HEARTBEAT_INTERVAL_MS : undefined,
    );
  }

  /** Plugs their device, and listens to the guest's agent. Called before the guest runs, or by who takes it over. */
  async begin(): Promise<void> {
    await this.goOn();
    await this.#machine.guestConnection?.listen();
  }

  /** Plugs their device where there is none, before a guest runs on that let go of it. */
  async goOn(): Promise<void> {
    if (this.#machine.plan.hvSocket !== undefined) await plugHvSocket(this.#machine);
  }

  /**
   * Resolves when the agent of the guest is connected, where there has to be one.
   * @throws HcsError HCS_E_CONNECTION_TIMEOUT when none is in time
   */
  async connected(limit: number = CONNECTION_LIMIT_MS): Promise<void> {
    await this.#machine.guestConnection?.connected(limit);
  }

  /** Has the agent shut the guest down. @returns false when none is connected */
  async shutDown(): Promise<boolean> {
    return (await this.#machine.guestConnection?.shutDown()) ?? false;
  }

  /**
   * QEMU does not save their device: the guest of the paused machine runs until it has let go of it, and is paused again.
   * @throws HcsError ERROR_TIMEOUT when it does not
   */
  async letGo(): Promise<void> {
    const { ports, qmp, guestConnection } = this.#machine;
    if (!ports.has(HV_SOCKET_ID)) return;
    this.#isLettingGo = true;
    try {
      await qmp.execute('cont');
      await unplugHvSocket(this.#machine);
    } finally {
      await qmp.execute('stop');
      this.#isLettingGo = false;
    }
    guestConnection?.drop();
  }

  /** Takes an event of QEMU's. */
  notice({ event, data }: QmpEvent, isPaused: boolean): void {
    // The guest has forgotten what it was connected to, and nothing tells the host.
    if (event === 'RESET') this.#machine.guestConnection?.forget();
    if (event !== 'DEVICE_DELETED' || data.device !== HV_SOCKET_ID || this.#isLettingGo) return;
    void this.#replace(isPaused);
  }

  /** The machine has ended, or is another process's. */
  close(): void {
    this.#machine.guestConnection?.close();
    this.#hasEnded = true;
  }

  /** A guest that lets go later than it was waited for gets another device. */
  async #replace(isPaused: boolean): Promise<void> {
    try {
      await forgetHvSocket(this.#machine);
      if (!isPaused) await this.goOn();
    } catch (error) {
      if (this.#hasEnded) return;
      this.#observer.failed(`Its sockets cannot be served: ${(error as Error).message}`);
    }
  }
}
