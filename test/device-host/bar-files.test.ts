import { expect, test } from 'vitest';
import { BarFiles, mappingOf, viewPages } from '../../src/device-host/bar-files.ts';
import { identifyFile } from '../../src/ffi/descriptors.ts';
import { heldResources } from './served-client.ts';

const SHAPES = [
  { bar: 0, offset: 0x1000, size: 0x1000 },
  { bar: 0, offset: 0x4000, size: 0x2000 },
  { bar: 2, offset: 2 ** 40, size: 0x1000 },
];

test('a BAR has one file, laid out as the BAR is', () => {
  const files = new BarFiles(SHAPES);
  const pages = files.open();
  expect(pages).toMatchObject(SHAPES);
  const [first, second, third] = pages;
  expect(first!.fd).toBe(second!.fd);
  expect(identifyFile(first!.fd).size).toBe(0x6000);
  expect(identifyFile(third!.fd).size).toBe(2 ** 40 + 0x1000);
  expect(mappingOf(pages, 0)).toMatchObject({
    fd: first!.fd,
    offset: 0,
    areas: SHAPES.slice(0, 2),
  });
  expect(mappingOf(pages, 1)).toBeUndefined();
  files.release();
});

test('another thread’s view and the owner’s Buffer are the same pages, zero at each opening', () => {
  const files = new BarFiles(SHAPES);
  const [, page] = files.open();
  const theirs = viewPages(page!);
  const ours = files.bytes(0, 0x4000, 0x2000)!;
  theirs.write('seen');
  expect(ours.toString('latin1', 0, 4)).toBe('seen');
  expect(files.bytes(0, 0x4000, 0x1000)).toBeUndefined();
  files.close();
  expect([files.pages, files.bytes(0, 0x4000, 0x2000)]).toEqual([[], undefined]);
  expect(theirs[0]).toBe(0);
  const [, again] = files.open();
  expect(again!.address).toBe(page!.address);
  expect(theirs[0]).toBe(0);
  theirs.write('anew');
  expect(ours.toString('latin1', 0, 4)).toBe('anew');
  files.release();
});

test('they fit the same places and no others, and give everything back', () => {
  const before = heldResources();
  const files = new BarFiles(SHAPES);
  files.open();
  files.open();
  expect(files.fits(structuredClone(SHAPES))).toBe(true);
  expect(files.fits(SHAPES.slice(1))).toBe(false);
  expect(files.fits(SHAPES.map((shape) => ({ ...shape, size: 0x1000 })))).toBe(false);
  // What no Buffer can show is left to be intercepted.
  expect(files.fits([...SHAPES, { bar: 4, offset: 0, size: 2 ** 40 }])).toBe(true);
  files.release();
  expect(heldResources().fds).toBe(before.fds);
});
