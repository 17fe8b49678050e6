const TEXT = /^\{?([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})\}?$/i;

/**
 * The 16 bytes of a GUID in memory: the first three parts little-endian.
 * @param text with or without braces
 * @throws TypeError when it is no GUID
 */
export function guidBytes(text: string): Uint8Array<ArrayBuffer> {
  const parts = TEXT.exec(text);
  if (parts === null) throw new TypeError(`Cannot read ${JSON.stringify(text)} as a GUID`);
  const [, data1 = '', data2 = '', data3 = '', clock = '', node = ''] = parts;
  const bytes = new Uint8Array(new ArrayBuffer(128), 0, 16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Number.parseInt(data1, 16), true);
  view.setUint16(4, Number.parseInt(data2, 16), true);
  view.setUint16(6, Number.parseInt(data3, 16), true);
  bytes.set(Buffer.from(clock + node, 'hex'), 8);
  return bytes;
}

/** The text of a GUID, in lower case without braces. */
export function guidText(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  const rest = Buffer.from(bytes.subarray(8, 16)).toString('hex');
  return [
    hex(view.getUint32(0, true), 8),
    hex(view.getUint16(4, true), 4),
    hex(view.getUint16(6, true), 4),
    rest.slice(0, 4),
    rest.slice(4),
  ].join('-');
}
