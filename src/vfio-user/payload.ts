import { getUint64, PayloadSize, putUint64 } from './wire.ts';

/** DMA_MAP. `address` is guest-physical. */
export interface DmaMapRequest {
  readonly argsz: number;
  readonly flags: number;
  /** Into the file that comes with the message. */
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/** @param at where the payload starts; 32 bytes are there */
export function decodeDmaMap(view: DataView, at: number): DmaMapRequest {
  return {
    argsz: view.getUint32(at, true),
    flags: view.getUint32(at + 4, true),
    offset: getUint64(view, at + 8),
    address: getUint64(view, at + 16),
    size: getUint64(view, at + 24),
  };
}

/** @returns the payload */
export function encodeDmaMap(request: DmaMapRequest): Uint8Array {
  const bytes = new Uint8Array(PayloadSize.DMA_MAP);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, request.argsz, true);
  view.setUint32(4, request.flags, true);
  putUint64(view, 8, request.offset);
  putUint64(view, 16, request.address);
  putUint64(view, 24, request.size);
  return bytes;
}

/** DMA_UNMAP. */
export interface DmaUnmapRequest {
  readonly argsz: number;
  readonly flags: number;
  readonly address: number;
  readonly size: number;
}

/** @param at where the payload starts; 24 bytes are there */
export function decodeDmaUnmap(view: DataView, at: number): DmaUnmapRequest {
  return {
    argsz: view.getUint32(at, true),
    flags: view.getUint32(at + 4, true),
    address: getUint64(view, at + 8),
    size: getUint64(view, at + 16),
  };
}

/** @returns the payload */
export function encodeDmaUnmap(request: DmaUnmapRequest): Uint8Array {
  const bytes = new Uint8Array(PayloadSize.DMA_UNMAP);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, request.argsz, true);
  view.setUint32(4, request.flags, true);
  putUint64(view, 8, request.address);
  putUint64(view, 16, request.size);
  return bytes;
}

/** SET_IRQS, without the bytes that DATA_BOOL adds. */
export interface SetIrqsRequest {
  readonly argsz: number;
  readonly flags: number;
  readonly index: number;
  readonly start: number;
  readonly count: number;
}

/** @param at where the payload starts; 20 bytes are there */
export function decodeSetIrqs(view: DataView, at: number): SetIrqsRequest {
  return {
    argsz: view.getUint32(at, true),
    flags: view.getUint32(at + 4, true),
    index: view.getUint32(at + 8, true),
    start: view.getUint32(at + 12, true),
    count: view.getUint32(at + 16, true),
  };
}

/** @param bools one byte per vector, with DATA_BOOL; @returns the payload */
export function encodeSetIrqs(
  request: SetIrqsRequest,
  bools: Uint8Array = new Uint8Array(),
): Uint8Array {
  const bytes = new Uint8Array(PayloadSize.SET_IRQS + bools.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, request.argsz, true);
  view.setUint32(4, request.flags, true);
  view.setUint32(8, request.index, true);
  view.setUint32(12, request.start, true);
  view.setUint32(16, request.count, true);
  bytes.set(bools, PayloadSize.SET_IRQS);
  return bytes;
}

/** What an access names: REGION_READ, REGION_WRITE, and one entry of REGION_WRITE_MULTI. */
export interface RegionAccess {
  readonly offset: number;
  readonly region: number;
  readonly count: number;
}

/** @param at where the payload starts; 16 bytes are there */
export function decodeRegionAccess(view: DataView, at: number): RegionAccess {
  return {
    offset: getUint64(view, at),
    region: view.getUint32(at + 8, true),
    count: view.getUint32(at + 12, true),
  };
}

/** @returns the payload, data included */
export function encodeRegionAccess(
  access: RegionAccess,
  data: Uint8Array = new Uint8Array(),
): Uint8Array {
  const bytes = new Uint8Array(PayloadSize.REGION_ACCESS + data.length);
  const view = new DataView(bytes.buffer);
  putUint64(view, 0, access.offset);
  view.setUint32(8, access.region, true);
  view.setUint32(12, access.count, true);
  bytes.set(data, PayloadSize.REGION_ACCESS);
  return bytes;
}
