/** The polynomial of CRC-32 (IEEE 802.3) as zlib has it: the lowest power of x in the highest bit. */
const POLYNOMIAL = 0xedb8_8320;
const ONE = 0x8000_0000;
/** What a byte multiplies by. */
const X_TO_THE_8TH = ONE >>> 8;

/**
 * The CRC-32 of bytes whose CRC-32 is `crc`, followed by `length` zeros: `crc32(Buffer.alloc(length), crc)` without the
 * zeros, in a time that does not depend on how many there are.
 */
export function crcWithZeros(crc: number, length: number): number {
  let factor = ONE;
  let square = X_TO_THE_8TH;
  for (let left = length; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) factor = product(factor, square);
    square = product(square, square);
  }
  return ~product(factor, ~crc) >>> 0;
}

/** The product of two polynomials over GF(2), modulo that of CRC-32. */
function product(a: number, b: number): number {
  let sum = 0;
  let shifted = b;
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) sum ^= shifted;
    shifted = (shifted & 1) === 0 ? shifted >>> 1 : (shifted >>> 1) ^ POLYNOMIAL;
  }
  return sum;
}
