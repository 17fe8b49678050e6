import type { MmioRegion } from '../device/mmio-region.ts';
import { refusePromise } from '../device/promise-check.ts';
import type { PlacedBar } from './bar-layout.ts';

/** Version of {@link FunctionSnapshot}. It is only ever extended. */
export const SNAPSHOT_VERSION = 1;

/** The state of one function. */
export interface FunctionSnapshot {
  readonly version: 1;
  /** Class name of the device. */
  readonly device: string;
  /** Bytes of config space, as hexadecimal text. */
  readonly config: string;
  readonly interrupts: unknown;
  /** What regions saved, by slot and byte offset. */
  readonly bars: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** What the device's own `save` gave. */
  readonly state: unknown;
}

/** What the regions of all BARs save; those that save nothing are left out. */
export function saveRegions(bars: readonly PlacedBar[]): FunctionSnapshot['bars'] {
  return Object.fromEntries(
    bars.map(({ slot, parts }) => {
      const saved = parts
        .map(({ offset, region }): [string, unknown] => [`${offset}`, saveRegion(region)])
        .filter(([, state]) => state !== undefined);
      return [`${slot}`, Object.fromEntries(saved)];
    }),
  );
}

function saveRegion(region: MmioRegion): unknown {
  const state = region.save?.();
  refusePromise(state, 'save of a region');
  return state;
}

/**
 * Checks that every region that saves finds its state, and that no state is left over.
 * @returns a function that gives each region its state
 * @throws TypeError naming slot and offset
 */
export function checkRegions(
  bars: readonly PlacedBar[],
  saved: FunctionSnapshot['bars'],
): () => void {
  const restores: (() => void)[] = [];
  const slots = new Map(bars.map((bar) => [`${bar.slot}`, bar]));
  for (const [slot, states] of Object.entries(saved)) {
    const regions = new Map<string, MmioRegion>(
      slots.get(slot)?.parts.map(({ offset, region }) => [`${offset}`, region]),
    );
    for (const [offset, state] of Object.entries(states)) {
      const region = regions.get(offset);
      if (region?.restore === undefined) {
        throw new TypeError(
          `Cannot restore BAR ${slot}, offset ${offset}: the device has nothing there that can be restored`,
        );
      }
      restores.push(() => refusePromise(region.restore?.(state), 'restore of a region'));
    }
  }
  for (const { slot, parts } of bars) {
    for (const { offset, region } of parts) {
      const isSaved = saved[slot]?.[offset] !== undefined;
      if (!isSaved && region.restore !== undefined && region.save?.() !== undefined) {
        throw new TypeError(
          `Cannot restore BAR ${slot}, offset ${offset}: the snapshot has no state for it`,
        );
      }
    }
  }
  return () => {
    for (const restore of restores) restore();
  };
}

/** @throws TypeError when this is not a snapshot, or is one of another device or a later version */
export function parseSnapshot(device: string, snapshot: unknown): FunctionSnapshot {
  const refuse = (reason: string): never => {
    throw new TypeError(`Cannot restore ${device}: ${reason}`);
  };
  if (typeof snapshot !== 'object' || snapshot === null) return refuse('not a snapshot');
  const saved = snapshot as Partial<FunctionSnapshot>;
  if (saved.version !== SNAPSHOT_VERSION) {
    refuse(`the snapshot has version ${String(saved.version)}, this is ${SNAPSHOT_VERSION}`);
  }
  if (saved.device !== device) refuse(`the snapshot is of ${String(saved.device)}`);
  if (typeof saved.bars !== 'object' || saved.bars === null) refuse('the snapshot has no BARs');
  return saved as FunctionSnapshot;
}
