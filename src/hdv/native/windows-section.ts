import { MAX_VIEW, view } from '../../ffi/memory.ts';
import type { WindowsSystem } from '../../ffi/windows-system.ts';
import type { Section } from '../hdv-binding.ts';
import { type Holdings, UNTRACKED_HOLDINGS } from './holdings.ts';

const INVALID_HANDLE_VALUE = 0xffff_ffff_ffff_ffffn;
const PAGE_READWRITE = 0x04;
const FILE_MAP_WRITE = 0x2;
const FILE_MAP_READ = 0x4;

type SectionFunctions = Pick<
  WindowsSystem,
  'CreateFileMappingW' | 'MapViewOfFile' | 'UnmapViewOfFile' | 'CloseHandle'
>;

/** Sections backed by the page file, without a name: Hyper-V's worker process needs neither a name nor rights of its own. */
export class WindowsSections {
  readonly #system: SectionFunctions;
  readonly #holdings: Holdings;
  readonly #collected: FinalizationRegistry<number>;

  constructor(system: SectionFunctions, holdings: Holdings = UNTRACKED_HOLDINGS) {
    this.#system = system;
    this.#holdings = holdings;
    // A Buffer may outlive the section in a closure of the device.
    this.#collected = new FinalizationRegistry((address) => {
      if (holdings.returns('view', address)) system.UnmapViewOfFile(address);
    });
  }

  /** @returns undefined when the system has no memory left for it */
  create(size: number): Section | undefined {
    if (size > MAX_VIEW) return undefined;
    const system = this.#system;
    const holdings = this.#holdings;
    const high = Math.floor(size / 2 ** 32);
    const handle = BigInt(
      system.CreateFileMappingW(
        INVALID_HANDLE_VALUE,
        null,
        PAGE_READWRITE,
        high,
        size % 2 ** 32,
        null,
      ),
    );
    if (handle === 0n) return undefined;
    const access = FILE_MAP_READ | FILE_MAP_WRITE;
    const address = Number(system.MapViewOfFile(handle, access, 0, 0, size));
    if (address === 0) {
      system.CloseHandle(handle);
      return undefined;
    }
    holdings.took('section', Number(handle));
    holdings.took('view', address);
    const memory = view(address, size);
    this.#collected.register(memory, address);
    let isOpen = true;
    return {
      handle,
      bytes: Buffer.from(memory),
      [Symbol.dispose]: () => {
        if (isOpen && holdings.returns('section', Number(handle))) system.CloseHandle(handle);
        isOpen = false;
      },
    };
  }
}
