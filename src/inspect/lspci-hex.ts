/**
 * A config space as `lspci -xxxx` prints it, which `lspci -F` reads back.
 * @param slot the address line's slot, as `00:03.0`
 */
export function formatLspciHex(bytes: Uint8Array, slot = '00:00.0'): string {
  const word = (offset: number): string => {
    const value = (bytes[offset] as number) | ((bytes[offset + 1] as number) << 8);
    return value.toString(16).padStart(4, '0');
  };
  const revision = (bytes[8] as number).toString(16).padStart(2, '0');
  const lines = [`${slot} ${word(10)}: ${word(0)}:${word(2)} (rev ${revision})`];
  for (let offset = 0; offset < bytes.length; offset += 16) {
    const row = [...bytes.subarray(offset, offset + 16)];
    const hex = row.map((value) => value.toString(16).padStart(2, '0')).join(' ');
    lines.push(`${offset.toString(16).padStart(2, '0')}: ${hex}`);
  }
  return `${lines.join('\n')}\n`;
}
