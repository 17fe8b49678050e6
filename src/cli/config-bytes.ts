import type { PciFunction } from '../pci/pci-function.ts';

/** The whole config space of a function, as a guest reads it, unseen by the function's observer. */
export function readConfigSpace(fn: PciFunction): Buffer {
  const bytes = Buffer.alloc(fn.shape.configSize);
  for (let offset = 0; offset < bytes.length; offset += 4) {
    bytes.writeUInt32LE(fn.peekConfigSpace(offset) >>> 0, offset);
  }
  return bytes;
}
