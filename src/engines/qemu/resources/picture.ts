import { crc32, deflateSync } from 'node:zlib';

/** Pixels of three bytes (red, green, blue), row by row from the top. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

const BYTES_PER_PIXEL = 3;

/** Reads a PPM as QEMU writes it: `P6`, width, height and 255, then pixels. @throws Error for anything else */
export function readPpm(file: Uint8Array): Picture {
  const head = Buffer.from(file.subarray(0, 64)).toString('latin1');
  const found = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(head);
  const [text = '', width = 0, height = 0] = found ?? [];
  const pixels = file.subarray(text.length);
  const size = { width: Number(width), height: Number(height) };
  if (found === null || pixels.length < size.width * size.height * BYTES_PER_PIXEL) {
    throw new Error(`QEMU's picture of the screen cannot be read: it begins with "${text}"`);
  }
  return { ...size, pixels };
}

/** A picture in another size: each pixel is the nearest of the old ones. */
export function scaled(picture: Picture, width: number, height: number): Picture {
  if (width === picture.width && height === picture.height) return picture;
  const pixels = new Uint8Array(width * height * BYTES_PER_PIXEL);
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y * picture.height) / height) * picture.width;
    for (let x = 0; x < width; x++) {
      const from = (row + Math.floor((x * picture.width) / width)) * BYTES_PER_PIXEL;
      const to = (y * width + x) * BYTES_PER_PIXEL;
      for (let i = 0; i < BYTES_PER_PIXEL; i++) pixels[to + i] = picture.pixels[from + i] ?? 0;
    }
  }
  return { width, height, pixels };
}

/** PNG (ISO/IEC 15948): 8 bits for each of three colours, without filters. */
export function writePng({ width, height, pixels }: Picture): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.writeUInt8(8, 8); // bits
  head.writeUInt8(2, 9); // colours
  const stride = width * BYTES_PER_PIXEL;
  const rows = Buffer.alloc(height * (stride + 1));
  for (let y = 0; y < height; y++) {
    rows.set(pixels.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1);
  }
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}
