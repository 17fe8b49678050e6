import type { WindowsSystem } from '../../ffi/windows-system.ts';
import type { DoorbellEvent } from '../hdv-binding.ts';
import { type Holdings, UNTRACKED_HOLDINGS } from './holdings.ts';

const INFINITE = 0xffff_ffff;
const INVALID_HANDLE_VALUE = 0xffff_ffff_ffff_ffffn;
/** The callback is short and never blocks, so it needs no thread of its own. */
const WT_EXECUTEINWAITTHREAD = 0x4;

type EventFunctions = Pick<
  WindowsSystem,
  'CreateEventW' | 'CloseHandle' | 'RegisterWaitForSingleObject' | 'UnregisterWaitEx'
>;

/** Where native threads report rings: plain data from the owner of a gate, for the thread that serves it. */
export interface DoorbellEntries {
  /** WAITORTIMERCALLBACK. */
  readonly callback: number;
  /** Its context for each doorbell; the gate reports the doorbell by its place in this list. */
  readonly contexts: readonly number[];
}

/**
 * The events of a device's doorbells. Windows' own threads wait for them and leave a mark in the gate; the device's
 * thread finds the mark when it next looks, and calls {@link DoorbellEvents.ring}.
 */
export class DoorbellEvents {
  readonly #system: EventFunctions;
  readonly #entries: DoorbellEntries;
  readonly #holdings: Holdings;
  /** What to call, by the number of the doorbell; undefined where it is free. */
  readonly #rings: ((() => void) | undefined)[];

  constructor(
    system: EventFunctions,
    entries: DoorbellEntries,
    holdings: Holdings = UNTRACKED_HOLDINGS,
  ) {
    this.#system = system;
    this.#entries = entries;
    this.#holdings = holdings;
    this.#rings = entries.contexts.map(() => undefined);
  }

  /** Makes an event and waits for it. @returns undefined when all doorbells are in use, or Windows has no more events */
  create(ring: () => void): DoorbellEvent | undefined {
    const system = this.#system;
    const holdings = this.#holdings;
    const index = this.#rings.indexOf(undefined);
    if (index < 0) return undefined;
    const event = BigInt(system.CreateEventW(null, 0, 0, null));
    if (event === 0n) return undefined;
    const wait: [number | bigint] = [0];
    const { callback, contexts } = this.#entries;
    const context = contexts[index] ?? 0;
    const flags = WT_EXECUTEINWAITTHREAD;
    if (!system.RegisterWaitForSingleObject(wait, event, callback, context, INFINITE, flags)) {
      system.CloseHandle(event);
      return undefined;
    }
    holdings.took('event', Number(event));
    holdings.took('wait', Number(wait[0]));
    this.#rings[index] = ring;
    let isOpen = true;
    return {
      handle: event,
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        this.#rings[index] = undefined;
        // Returns once no callback of this wait runs: the event may be closed then.
        if (holdings.returns('wait', Number(wait[0]))) {
          system.UnregisterWaitEx(wait[0], INVALID_HANDLE_VALUE);
        }
        if (holdings.returns('event', Number(event))) system.CloseHandle(event);
      },
    };
  }

  /** A doorbell was rung, one or more times. A mark left by a former user of its number rings once for nothing. */
  ring(index: number): void {
    this.#rings[index]?.();
  }
}
