import type { WindowsSystem } from '../../ffi/windows-system.ts';

const MEM_RELEASE = 0x8000;
const INVALID_HANDLE_VALUE = 0xffff_ffff_ffff_ffffn;

/**
 * What a device's thread takes from the system that the end of a thread does not give back, in the order in which it
 * can be: registered waits before their events, mappings of sections and of guest memory, and pages that replaced one.
 */
export const HOLDING_KINDS = ['wait', 'event', 'section', 'view', 'aperture', 'pages'] as const;

/** One of {@link HOLDING_KINDS}. */
export type HoldingKind = (typeof HOLDING_KINDS)[number];

/** Something was taken, or is about to be given back: plain data. */
export interface HoldingChange {
  readonly kind: HoldingKind;
  /** A handle, or an address. */
  readonly id: number;
  readonly isHeld: boolean;
}

/** Where a thread says what it holds. */
export interface Holdings {
  /** Called right after something was taken. */
  took(kind: HoldingKind, id: number): void;
  /** Called right before something is given back. @returns false: leave it, as somebody else does that */
  returns(kind: HoldingKind, id: number): boolean;
}

/** For a thread that lives as long as the process. */
export const UNTRACKED_HOLDINGS: Holdings = { took() {}, returns: () => true };

/** The side of a thread that may be ended at any moment: it reports what it holds to the one that survives it. */
export class ReportedHoldings implements Holdings {
  readonly #report: (change: HoldingChange) => void;
  #isClosed = false;

  /** @param report delivers changes in order, the last ones too, before the end of this thread is known */
  constructor(report: (change: HoldingChange) => void) {
    this.#report = report;
  }

  took(kind: HoldingKind, id: number): void {
    if (!this.#isClosed) this.#report({ kind, id, isHeld: true });
  }

  returns(kind: HoldingKind, id: number): boolean {
    if (this.#isClosed) return false;
    this.#report({ kind, id, isHeld: false });
    return true;
  }

  /** From now on nothing is given back here: reports may not arrive any more. */
  close(): void {
    this.#isClosed = true;
  }
}

/** What it takes to give everything back. */
type Returning = Pick<
  WindowsSystem,
  'CloseHandle' | 'UnmapViewOfFile' | 'UnregisterWaitEx' | 'VirtualFree'
>;

/** What a thread holds, seen from the thread that survives it. */
export class LeftHoldings {
  readonly #held = new Map<HoldingKind, Set<number>>(
    HOLDING_KINDS.map((kind) => [kind, new Set()]),
  );

  note({ kind, id, isHeld }: HoldingChange): void {
    const ids = this.#held.get(kind);
    if (isHeld) ids?.add(id);
    else ids?.delete(id);
  }

  /**
   * Gives back what is left, once the thread is gone.
   * @param unmap undoes a mapping of guest memory; absent when the device host is gone, which has undone them
   */
  release(system: Returning, unmap: ((address: number) => void) | undefined): void {
    for (const kind of HOLDING_KINDS) {
      const ids = this.#held.get(kind) ?? new Set();
      for (const id of ids) giveBack(system, kind, id, unmap);
      ids.clear();
    }
  }
}

function giveBack(
  system: Returning,
  kind: HoldingKind,
  id: number,
  unmap: ((address: number) => void) | undefined,
): void {
  switch (kind) {
    case 'wait':
      // Returns once no callback of this wait runs: the event may be closed then.
      system.UnregisterWaitEx(id, INVALID_HANDLE_VALUE);
      break;
    case 'event':
    case 'section':
      system.CloseHandle(id);
      break;
    case 'view':
      system.UnmapViewOfFile(id);
      break;
    case 'aperture':
      unmap?.(id);
      break;
    case 'pages':
      system.VirtualFree(id, 0, MEM_RELEASE);
      break;
  }
}
