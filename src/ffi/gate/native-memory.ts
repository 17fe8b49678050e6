import type { WindowsSystem } from '../windows-system.ts';

const MEM_COMMIT = 0x1000;
const MEM_RESERVE = 0x2000;
const PAGE_READWRITE = 0x04;

/**
 * Zeroed memory that is never given back, at least page-aligned.
 * @throws Error when there is none
 */
export function allocate(system: WindowsSystem, size: number): number {
  const flags = MEM_COMMIT | MEM_RESERVE;
  const address = Number(system.VirtualAlloc(null, size, flags, PAGE_READWRITE));
  if (address === 0) {
    throw new Error(`Cannot allocate ${size} bytes: Windows has no memory left for this process`);
  }
  return address;
}
