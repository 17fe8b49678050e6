import { koffi } from './native-config.ts';

/** The UTF-16 string at an address, up to its NUL, unpaired surrogates kept; null at address 0. */
export function readWideString(address: number | bigint): string | null {
  if (Number(address) === 0) return null;
  return koffi.decode.string16(address);
}
