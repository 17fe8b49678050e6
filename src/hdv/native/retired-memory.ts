import { setFlagsFromString } from 'node:v8';
import type { WindowsSystem } from '../../ffi/windows-system.ts';
import { type Holdings, UNTRACKED_HOLDINGS } from './holdings.ts';

const MEM_COMMIT = 0x1000;
const MEM_RESERVE = 0x2000;
const MEM_RELEASE = 0x8000;
const PAGE_READWRITE = 0x04;

/** What this needs of Windows. */
type PageFunctions = Pick<WindowsSystem, 'VirtualAlloc' | 'VirtualFree'>;

/**
 * Keeps JavaScript from touching memory that is gone. A Buffer over a guest's memory may outlive the mapping, in a
 * closure of a device for example, and reading it would end the process. So zero pages take the place of the mapping,
 * until nobody has the bytes any more. Where another thread was quicker to use those addresses, the bytes are taken
 * away instead: the Buffers have no length then. Both happen on the thread that has the Buffers, in one go with the
 * unmapping, so that no JavaScript runs in between.
 *
 * To keep a mapping as long as anything refers to it would be simpler, and would leave a quota that is exhausted to
 * the garbage collector.
 */
export class RetiredMemory {
  readonly #system: PageFunctions;
  readonly #holdings: Holdings;
  readonly #collected: FinalizationRegistry<number | bigint>;

  constructor(system: PageFunctions, holdings: Holdings = UNTRACKED_HOLDINGS) {
    this.#system = system;
    this.#holdings = holdings;
    this.#collected = new FinalizationRegistry((base) => {
      if (holdings.returns('pages', Number(base))) system.VirtualFree(base, 0, MEM_RELEASE);
    });
  }

  /**
   * Makes `bytes` harmless, which was a view of `address` until the mapping there was undone just now.
   * @returns whether they can still be read, as zeros
   */
  retire(address: number, bytes: ArrayBuffer): boolean {
    const flags = MEM_RESERVE | MEM_COMMIT;
    const base = this.#system.VirtualAlloc(address, bytes.byteLength, flags, PAGE_READWRITE);
    if (base === null || Number(base) === 0) {
      detach(bytes);
      return false;
    }
    this.#holdings.took('pages', Number(base));
    this.#collected.register(bytes, base as number | bigint);
    return true;
  }
}

/** Takes the memory away from a buffer, and from everything that views it, without reading it. */
export function detach(bytes: ArrayBuffer): void {
  const { transfer } = bytes as { transfer?: (length: number) => ArrayBuffer };
  if (transfer !== undefined) transfer.call(bytes, 0);
  else nativeDetach()(bytes);
}

let native: ((bytes: ArrayBuffer) => void) | undefined;

/** Node 20 has no `transfer`, and structuredClone copies foreign memory. V8's own tests detach this way. */
function nativeDetach(): (bytes: ArrayBuffer) => void {
  if (native === undefined) {
    setFlagsFromString('--allow-natives-syntax');
    native = new Function('bytes', '%ArrayBufferDetach(bytes)') as (bytes: ArrayBuffer) => void;
    setFlagsFromString('--no-allow-natives-syntax');
  }
  return native;
}
