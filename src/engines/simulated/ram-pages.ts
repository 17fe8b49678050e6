import { setImmediate as turn } from 'node:timers/promises';
import { fileStretches, touchedStretches } from '../../ffi/touched-pages.ts';
import type { GuestRam, RamWindow } from './guest-ram.ts';

/** Bytes of a page of RAM. */
export const PAGE_SIZE = 4096;

/** Pages that are looked at before others have a turn: 16 MiB. */
const PAGES_PER_TURN = 4096;

const ZEROS = Buffer.alloc(PAGE_SIZE);

/** A page that is not all zeros. */
export interface UsedPage {
  /** Guest-physical address in pages. */
  readonly number: number;
  /** In place. */
  readonly bytes: Buffer;
}

/**
 * The pages of a machine that hold something, in order; the event loop goes on meanwhile. Memory that was never touched
 * is not looked at, where the system tells what that is.
 * @throws what `signal` was aborted with
 */
export async function* usedPages(ram: GuestRam, signal?: AbortSignal): AsyncGenerator<UsedPage[]> {
  for (const window of ram.windows) {
    const { fd, length } = window;
    const stretches =
      fd === undefined ? touchedStretches(window.buffer) : fileStretches(fd, length);
    for (const { start, end } of stretches) {
      const first = start - (start % PAGE_SIZE);
      for (let at = first; at < end; at += PAGES_PER_TURN * PAGE_SIZE) {
        signal?.throwIfAborted();
        const pages = usedIn(window, at, Math.min(end, at + PAGES_PER_TURN * PAGE_SIZE));
        if (pages.length > 0) yield pages;
        await turn();
      }
    }
  }
}

/**
 * Copies RAM into new RAM of the same size.
 * @throws what `signal` was aborted with
 */
export async function copyRam(from: GuestRam, to: GuestRam, signal?: AbortSignal): Promise<void> {
  for await (const pages of usedPages(from, signal)) {
    for (const { number, bytes } of pages) to.write(number * PAGE_SIZE, bytes);
  }
}

function usedIn({ gpa, bytes }: RamWindow, start: number, end: number): UsedPage[] {
  const pages: UsedPage[] = [];
  for (let at = start; at < end; at += PAGE_SIZE) {
    const page = bytes.subarray(at, at + PAGE_SIZE);
    if (!page.equals(ZEROS)) pages.push({ number: (gpa + at) / PAGE_SIZE, bytes: page });
  }
  return pages;
}
