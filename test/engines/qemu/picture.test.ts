import { inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { readPpm, scaled, writePng } from '../../../src/engines/qemu/resources/picture.ts';

const RED = [255, 0, 0];
const BLUE = [0, 0, 255];
const ppm = Buffer.concat([Buffer.from('P6\n2 1\n255\n'), Buffer.from([...RED, ...BLUE])]);

test('a picture is scaled by the nearest pixels', () => {
  const { width, height, pixels } = scaled(readPpm(ppm), 4, 2);
  expect([width, height]).toEqual([4, 2]);
  const row = [...RED, ...RED, ...BLUE, ...BLUE];
  expect([...pixels]).toEqual([...row, ...row]);
  expect([...scaled(readPpm(ppm), 1, 1).pixels]).toEqual(RED);
});

test('a PNG has the size and the pixels of the picture', () => {
  const png = writePng(readPpm(ppm));
  expect(png.subarray(0, 8)).toEqual(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'));
  expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([2, 1]);
  const data = png.subarray(41, 41 + png.readUInt32BE(33));
  expect([...inflateSync(data)]).toEqual([0, ...RED, ...BLUE]);
});

test('what is no picture is refused', () => {
  expect(() => readPpm(Buffer.from('P5\n2 1\n255\nxx'))).toThrow('cannot be read');
  expect(() => readPpm(ppm.subarray(0, 14))).toThrow('cannot be read');
});
