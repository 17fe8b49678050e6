import { koffi } from './native-config.ts';

/** The UTF-16 string at an address, up to its NUL, unpaired surrogates kept; null at address 0. */
export function readWideString(address: number | bigint): string | null {
  if (Number(address) === 0) return null;
  return koffi.decode.string16(address);
}

/** The pointers of an array of strings: `const LPCWSTR *`, which is only read while the call lasts. */
export function readWideStrings(address: number | bigint, count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const pointer = koffi.decode.uint64(BigInt(address) + BigInt(index * 8));
    return readWideString(pointer) ?? '';
  });
}
