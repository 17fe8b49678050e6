import { Parser } from 'binary-parser';

/** Errno numbers that a reply may carry, whatever was sent. */
const ALLOWED_ERRORS = new Set([2, 5, 7, 12, 13, 17, 19, 22, 24, 28, 95]);

const jsonText = new Parser().string('text', { zeroTerminated: true, encoding: 'utf8' });

const payloads: Readonly<Record<number, Parser>> = {
  1: new Parser()
    .uint16le('major')
    .uint16le('minor')
    .nest('json', { type: jsonText })
    .saveOffset('length'),
  2: new Parser().saveOffset('length'),
  3: new Parser()
    .uint32le('argsz')
    .uint32le('flags')
    .uint64le('address')
    .uint64le('size')
    .saveOffset('length'),
  4: new Parser()
    .uint32le('argsz', { assert: 16 })
    .uint32le('flags', { assert: 3 })
    .uint32le('regions', { assert: 9 })
    .uint32le('irqs', { assert: 5 })
    .saveOffset('length'),
  5: new Parser()
    .uint32le('argsz', { assert: 32 })
    .uint32le('flags')
    .uint32le('index')
    .uint32le('capabilities', { assert: 0 })
    .uint64le('size')
    .uint64le('offset')
    .saveOffset('length'),
  6: new Parser()
    .uint32le('argsz', { assert: 16 })
    .uint32le('flags', { assert: 0 })
    .uint32le('index')
    .uint32le('count', { assert: 0 })
    .saveOffset('length'),
  7: new Parser()
    .uint32le('argsz', { assert: 16 })
    .uint32le('flags')
    .uint32le('index')
    .uint32le('count')
    .saveOffset('length'),
  8: new Parser().saveOffset('length'),
  9: new Parser()
    .uint64le('offset')
    .uint32le('region')
    .uint32le('count')
    .buffer('data', { length: 'count' })
    .saveOffset('length'),
  10: new Parser().uint64le('offset').uint32le('region').uint32le('count').saveOffset('length'),
  13: new Parser().saveOffset('length'),
  15: new Parser().uint64le('count').saveOffset('length'),
};

const header = new Parser()
  .uint16le('id')
  .uint16le('command')
  .uint32le('size')
  .uint32le('flags')
  .uint32le('error');

/** A reply as an independent reading of the protocol sees it. */
export interface DecodedReply {
  readonly id: number;
  readonly command: number;
  readonly size: number;
  /** 0 for a success. */
  readonly error: number;
  readonly payload: Readonly<Record<string, unknown>>;
}

/**
 * Decodes one reply of a server, and refuses what no server may send.
 * @throws Error saying what is wrong with it
 */
export function decodeReply(bytes: Buffer): DecodedReply {
  const { id, command, size, flags, error } = header.parse(bytes) as Record<
    'id' | 'command' | 'size' | 'flags' | 'error',
    number
  >;
  const wrong = (what: string): Error =>
    new Error(`${what}: ${bytes.subarray(0, 64).toString('hex')} (${bytes.length} bytes)`);
  if (size !== bytes.length) throw wrong(`size ${size} is not what was sent`);
  if (flags === 0x21) {
    if (size !== 16) throw wrong('an error reply is a header alone');
    if (!ALLOWED_ERRORS.has(error)) throw wrong(`errno ${error} is in no table`);
    return { id, command, size, error, payload: {} };
  }
  if (flags !== 0x1) throw wrong(`flags ${flags} are no reply's`);
  const parser = payloads[command];
  if (parser === undefined) throw wrong(`command ${command} cannot succeed`);
  const payload = parser.parse(bytes.subarray(16)) as Record<string, unknown>;
  if (payload.length !== size - 16) throw wrong(`the payload has ${payload.length} bytes`);
  return { id, command, size, error: 0, payload };
}
