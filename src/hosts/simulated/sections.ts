import type { OpenSection } from '../../device-host/local-platform.ts';
import type { HANDLE } from '../../hcs/core/handles.ts';
import type { Section } from '../../hdv/hdv-binding.ts';

/** Memory for mapped ranges of simulated machines: shared, so that processors on other threads reach the same bytes. */
export class SharedSections {
  readonly #sections = new Map<HANDLE, SharedArrayBuffer>();
  #next = 1n;

  /**
   * Makes a section. Ranges that show it keep it after its disposal.
   * @param size bytes, a multiple of the page size
   * @returns undefined when there is no memory left for it
   */
  create(size: number): Section | undefined {
    let memory: SharedArrayBuffer;
    try {
      memory = new SharedArrayBuffer(size);
    } catch {
      return undefined;
    }
    const handle = this.#next++;
    this.#sections.set(handle, memory);
    return {
      handle,
      bytes: Buffer.from(memory),
      [Symbol.dispose]: () => void this.#sections.delete(handle),
    };
  }

  /** Part of a section, in bytes; undefined when the handle is none that is open, or the section is shorter. */
  open(handle: HANDLE, start: number, length: number): OpenSection | undefined {
    const memory = this.#sections.get(BigInt(handle));
    if (memory === undefined || start + length > memory.byteLength) return undefined;
    const shared = { memory, start, shown: new SharedArrayBuffer(4) };
    return {
      memory: { bytes: new Uint8Array(memory, start, length), shared },
      [Symbol.dispose]: () => undefined,
    };
  }
}
