import type { LoopClock } from '../../device-host/loop-clock.ts';
import type { GateServer } from '../../ffi/gate/gate-server.ts';
import { nativeBuffer } from '../../ffi/libc.ts';
import type { WindowsSystem } from '../../ffi/windows-system.ts';
import type { WorkerContext } from '../../transport/worker-context.ts';

/** How long nothing must have happened before the event loop has its turn, and the longest that it goes without one. */
const QUIET_MS = 1;
const LONGEST_ABSENCE_MS = 5;

/** WAIT_OBJECT_0: the gate's event, which the wait takes. */
const GATE = 0;
const WAIT_FAILED = 0xffff_ffff;

/** What a {@link DeviceLoop} needs. */
export interface DeviceLoopOptions {
  readonly context: WorkerContext<unknown>;
  readonly system: WindowsSystem;
  readonly server: GateServer;
  readonly clock: LoopClock;
  /** Serves the request that the server has taken. */
  readonly serve: () => void;
  /** A doorbell was rung. */
  readonly ring: (doorbell: number) => void;
  readonly command: (method: string, argument: unknown) => unknown;
}

/**
 * What the thread of a device does all day: it serves the gate, waits in the kernel for the next request, and goes back
 * to the event loop when that has something to do, when there were no requests for a moment, and at least every few
 * milliseconds. An access seldom meets the event loop.
 */
export class DeviceLoop {
  readonly #options: DeviceLoopOptions;
  /** HANDLEs of the gate's event, and of what wants attention. */
  readonly #handles = nativeBuffer(16);
  #turnedAt = 0;

  constructor(options: DeviceLoopOptions) {
    this.#options = options;
    const handles = new BigUint64Array(this.#handles.buffer, 0, 2);
    handles[0] = BigInt(options.server.wakeEvent);
    handles[1] = BigInt(options.context.attention);
  }

  /** Serves until the stop word is set. */
  async run(): Promise<void> {
    const { clock, command, context, server } = this.#options;
    const { control } = context;
    while (!control.stopRequested) {
      control.advance();
      const served = this.#serve();
      clock.runDue();
      if (served) {
        const absence = clock.now - this.#turnedAt;
        if (absence < LONGEST_ABSENCE_MS && server.spin()) continue;
        if (absence < QUIET_MS && this.#sleep(QUIET_MS)) continue;
      }
      await context.turn();
      this.#turnedAt = clock.now;
      control.advance();
      context.attend(command);
      // What would wake the thread has been taken.
      if (control.stopRequested) return;
      this.#sleep(context.patience);
    }
  }

  /** Serves what has come, for a while. @returns whether there was anything */
  #serve(): boolean {
    const { clock, context, ring, serve, server } = this.#options;
    let served = false;
    for (let bell = server.nextDoorbell(); bell >= 0; bell = server.nextDoorbell()) {
      served = true;
      context.control.advance();
      ring(bell);
    }
    while (server.next()) {
      // A backlog alone is worth a look at the clock: one device takes long for what another does in no time.
      const isLate = served && clock.now - this.#turnedAt >= LONGEST_ABSENCE_MS;
      served = true;
      serve();
      if (isLate) break;
    }
    return served;
  }

  /** Waits in the kernel, unless there is something to do. @returns whether the gate has something */
  #sleep(longestMs: number): boolean {
    const { clock, context, server, system } = this.#options;
    const due = clock.nextTimeout();
    const timeout = Math.ceil(due < 0 ? longestMs : Math.min(due, longestMs));
    if (!server.prepareToSleep()) return true;
    context.control.resting = true;
    const woken = system.WaitForMultipleObjects(2, this.#handles, 0, timeout);
    context.control.resting = false;
    server.wakeUp();
    if (woken === WAIT_FAILED) throw new Error('Cannot wait for accesses: a handle is not valid');
    return woken === GATE || server.pending;
  }
}
