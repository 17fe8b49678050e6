import { koffi } from './native-config.ts';
import { readStruct, type StructLayout } from './struct-layout.ts';

/**
 * The scalar fields of a struct that native code owns, copied. Pointers and strings are addresses.
 * @param address not 0, and of memory that stays during the call
 */
export function readStructAt(
  layout: StructLayout,
  address: number | bigint,
): Record<string, number | bigint> {
  const bytes: Uint8Array = koffi.decode(BigInt(address), `uint8_t [${layout.size}]`);
  return readStruct(layout, new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
}
