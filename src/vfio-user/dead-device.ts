import { Region, type VfioUserDevice } from './device.ts';
import { VfioUserServer } from './server.ts';
import { ServerState } from './server-state.ts';
import { RegionFlag } from './wire.ts';

/** What happens to a device's configuration while it is dead: the VMM believes that its own writes were taken. */
export interface DeadConfig {
  write(offset: number, width: number, value: number): void;
  /** DEVICE_RESET. */
  reset(): void;
}

/**
 * The answers of a device that is gone. It takes a connection over from a server whose thread died or whose device
 * never returns, on any other thread of the process: the open access reads all ones, and so does every later one;
 * writes vanish; everything else succeeds, so that the client can let go of the device in good order.
 */
export class DeadDevice {
  readonly #server: VfioUserServer;
  readonly #state: ServerState;

  private constructor(state: ServerState, config: DeadConfig | undefined) {
    this.#state = state;
    const device = (): VfioUserDevice => allOnes(state, config);
    this.#server = new VfioUserServer({ state, standIn: true, device });
  }

  /**
   * Takes the connection over and answers what was open, at once.
   * @param buffer of the server's {@link ServerState}
   * @param config hears of writes to config space; default: they vanish
   * @throws RangeError when the connection has ended already
   */
  static takeOver(buffer: SharedArrayBuffer, config?: DeadConfig): DeadDevice {
    const state = ServerState.of(buffer);
    state.takeOver();
    const dead = new DeadDevice(state, config);
    dead.processReadable();
    return dead;
  }

  /** The connection's descriptor, to be watched for readability. */
  get socket(): number {
    return this.#state.socket;
  }

  /** Answers what has arrived, without waiting. @returns false once the connection has ended */
  processReadable(): boolean {
    return this.#server.processReadable();
  }

  /** Leaves the connection as it is to a server with a device, which takes it over. */
  relinquish(): void {
    this.#server.relinquish();
  }

  /**
   * Closes every descriptor and gives back every mapping of the connection. Only when the thread that served it has
   * ended: guest memory goes away under its views. Safe to call twice.
   */
  close(): void {
    this.#server.close();
    this.#state.closeFds();
    this.#state.unmapAll();
  }
}

function allOnes(state: ServerState, config: DeadConfig | undefined): VfioUserDevice {
  const { regions, irqCounts } = state.shape;
  return {
    regions: regions.map(({ size, flags }) => ({
      size,
      readable: (flags & RegionFlag.READ) !== 0,
      writable: (flags & RegionFlag.WRITE) !== 0,
    })),
    irqCounts,
    readRegion: (_region, _offset, width) =>
      width === 4 ? 0xffff_ffff : width === 2 ? 0xffff : 0xff,
    writeRegion(region, offset, width, value) {
      if (region === Region.CONFIG) config?.write(offset, width, value);
    },
    reset: () => config?.reset(),
    disconnected: () => undefined,
  };
}
