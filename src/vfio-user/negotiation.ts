import { Limit } from './wire.ts';

/** What both ends agreed on in VERSION. */
export interface Agreement {
  readonly minor: number;
  /** Most descriptors the server may send and accepts in one message. */
  readonly maxMsgFds: number;
  /** Most bytes that a DMA_READ or DMA_WRITE may ask of the client. */
  readonly clientMaxDataXferSize: number;
}

const MAJOR = 0;
const MINOR = 1;

/** Largest value that a client may state, by capability. */
const numeric: Readonly<Record<string, number>> = {
  max_msg_fds: 2 ** 31 - 1,
  max_data_xfer_size: 2 ** 53 - 1,
  max_dma_maps: 2 ** 32 - 1,
  pgsizes: 2 ** 53 - 1,
};

/**
 * Reads a client's proposal: payload of VERSION.
 * @returns undefined when it is malformed: the client gets EINVAL and the connection ends
 */
export function readProposal(payload: Uint8Array): Agreement | undefined {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  if (view.getUint16(0, true) !== MAJOR) return undefined;
  const minor = Math.min(view.getUint16(2, true), MINOR);
  const capabilities = readCapabilities(payload.subarray(4));
  if (capabilities === undefined) return undefined;
  for (const [key, most] of Object.entries(numeric)) {
    if (!isNumber(capabilities[key], most)) return undefined;
  }
  // Guest memory by messages of no bytes never comes to an end.
  if (capabilities.max_data_xfer_size === 0) return undefined;
  if (!isBoolean(capabilities.write_multiple) || !isBoolean(capabilities.twin_socket?.supported)) {
    return undefined;
  }
  const { migration } = capabilities;
  if (migration !== undefined) {
    if (!isObject(migration)) return undefined;
    for (const key of ['pgsizes', 'pgsize', 'max_bitmap_size']) {
      if (!isNumber(migration[key], 2 ** 53 - 1)) return undefined;
    }
  }
  return {
    minor,
    maxMsgFds: Math.min(numberOr(capabilities.max_msg_fds, 1), Limit.MAX_MSG_FDS),
    clientMaxDataXferSize: Math.min(
      numberOr(capabilities.max_data_xfer_size, Limit.MAX_DATA_XFER_SIZE),
      Limit.MAX_DATA_XFER_SIZE,
    ),
  };
}

/** The payload that answers a proposal. Only keys that QEMU knows; `migration` is left out, as it is refused. */
export function writeAgreement({ minor, maxMsgFds }: Agreement): Uint8Array {
  const text = JSON.stringify({
    capabilities: {
      max_msg_fds: maxMsgFds,
      max_data_xfer_size: Limit.MAX_DATA_XFER_SIZE,
      pgsizes: Limit.PAGE_SIZE,
      max_dma_maps: Limit.MAX_DMA_MAPS,
      write_multiple: true,
    },
  });
  const bytes = Buffer.alloc(4 + text.length + 1);
  bytes.writeUInt16LE(MAJOR, 0);
  bytes.writeUInt16LE(minor, 2);
  bytes.write(text, 4, 'latin1');
  return bytes;
}

interface Capabilities {
  readonly [key: string]: unknown;
  readonly twin_socket?: { readonly supported?: unknown };
}

/** @param text JSON with its NUL, or nothing at all: then every default holds */
function readCapabilities(text: Uint8Array): Capabilities | undefined {
  if (text.length === 0) return {};
  if (text[text.length - 1] !== 0) return undefined;
  let value: unknown;
  try {
    // Copied first: a decoder does not take memory that threads share.
    const json = new TextDecoder('utf-8', { fatal: true }).decode(
      Uint8Array.from(text.subarray(0, text.indexOf(0))),
    );
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { capabilities = {} } = value;
  if (!isObject(capabilities)) return undefined;
  const { twin_socket } = capabilities;
  if (twin_socket !== undefined && !isObject(twin_socket)) return undefined;
  return capabilities as Capabilities;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown, most: number): boolean {
  return (
    value === undefined ||
    (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most)
  );
}

function isBoolean(value: unknown): boolean {
  return value === undefined || typeof value === 'boolean';
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === 'number' ? value : fallback;
}
